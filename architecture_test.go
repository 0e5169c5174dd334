package accountexport_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"accountexport/internal/settings"
)

var (
	inBackticks = regexp.MustCompile("`([^`]+)`")
	beginsUnit  = regexp.MustCompile(`^(\||- |\d+\. |#)`)
	identifier  = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$`)
	table       = regexp.MustCompile(`^export\.\w+$`)
	testName    = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w*`)
)

// units are the paragraphs, items and rows of a text. What stands in one belongs
// together.
func units(text string) (all []string) {
	for line := range strings.Lines(text) {
		switch {
		case strings.TrimSpace(line) == "":
			all = append(all, "")
		case len(all) == 0, beginsUnit.MatchString(line):
			all = append(all, line)
		default:
			all[len(all)-1] += line
		}
	}
	return all
}

// TestArchitectureNamesWhatIsThere: whatever doc/architecture.md puts between
// backticks is a file or a folder; or what is declared in the file, or the package,
// that the same paragraph, item or row has named before; or a setting, or one of
// the database's tables and functions. Commands are held to what programs take by
// cmd/projector and cmd/api.
func TestArchitectureNamesWhatIsThere(t *testing.T) {
	migrations := ""
	files, err := filepath.Glob("readmodel/migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		migrations += read(t, file)
	}
	known := map[string]bool{}
	for _, d := range settings.Docs() {
		known[d.Name] = true
	}
	found, declarations := 0, map[string]map[string]bool{}
	for _, d := range manuals(t) {
		if d.Path != architecture {
			continue
		}
		for _, unit := range units(d.Prose()) {
			in := ""
			for _, m := range inBackticks.FindAllStringSubmatch(unit, -1) {
				name := strings.Join(strings.Fields(m[1]), " ")
				_, err := os.Stat(filepath.FromSlash(name))
				switch {
				case err == nil:
					in = name
				case known[name], strings.HasPrefix(name, "projector "):
				case table.MatchString(name):
					if !regexp.MustCompile(regexp.QuoteMeta(name) + `\b`).MatchString(migrations) {
						t.Errorf("no migration makes %s, which %s names", name, d.Path)
					}
				case !identifier.MatchString(name):
					t.Errorf("%s names `%s`, which is no file and nothing that a file could declare", d.Path, name)
				case in == "":
					t.Errorf("%s names `%s`, and before it, in the same paragraph, item or row, no file that declares it", d.Path, name)
				default:
					if declarations[in] == nil {
						declarations[in] = declared(t, in)
					}
					if !declarations[in][name] {
						t.Errorf("%s names `%s`, which %s does not declare", d.Path, name, in)
					}
					found++
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d declarations were found in %s", found, architecture)
	}
}

// TestGlossaryWordsAreDeclared: each row of the glossary says, in its third cell, which
// file declares what the word is called in the code, and names that: that it is there is
// held by TestArchitectureNamesWhatIsThere.
func TestGlossaryWordsAreDeclared(t *testing.T) {
	_, glossary, found := strings.Cut(read(t, architecture), "\n## Glossary\n")
	if !found {
		t.Fatalf("%s has no glossary", architecture)
	}
	glossary, _, _ = strings.Cut(glossary, "\n## ")
	rows := 0
	for line := range strings.Lines(glossary) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| word") || strings.HasPrefix(line, "| ---") {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("%s has %d cells in the row of %s, and there are to be 4", architecture, len(cells), cells[0])
			continue
		}
		rows++
		if !regexp.MustCompile("`[^` ]+/[^` ]+` `[A-Za-z_][A-Za-z_.]*`").MatchString(cells[2]) {
			t.Errorf("%s: the row of%s is to name a file and what it declares, such as `readmodel/export/waiter.go` `Waiter`: %s", architecture, cells[0], cells[2])
		}
	}
	if rows < 30 {
		t.Errorf("only %d words were found in the glossary of %s", rows, architecture)
	}
}

// declared are the names that a file, or a package's own files, declare: functions,
// types, constants and variables by their name, methods and fields behind their
// type's.
func declared(t *testing.T, at string) map[string]bool {
	t.Helper()
	files := []string{at}
	if filepath.Ext(at) == "" {
		all, err := filepath.Glob(at + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		files = slices.DeleteFunc(all, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
	}
	names := map[string]bool{}
	for _, file := range files {
		if filepath.Ext(file) != ".go" {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			declare(names, d)
		}
	}
	return names
}

func declare(names map[string]bool, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names[d.Name.Name] = true
			return
		}
		names[receiver(d.Recv.List[0].Type)+"."+d.Name.Name] = true
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names[name.Name] = true
				}
			case *ast.TypeSpec:
				names[s.Name.Name] = true
				var members *ast.FieldList
				switch of := s.Type.(type) {
				case *ast.StructType:
					members = of.Fields
				case *ast.InterfaceType:
					members = of.Methods
				default:
					continue
				}
				for _, member := range members.List {
					for _, name := range member.Names {
						names[s.Name.Name+"."+name.Name] = true
					}
				}
			}
		}
	}
}

// receiver is the name of the type that a method belongs to.
func receiver(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return receiver(of.X)
	case *ast.IndexExpr:
		return receiver(of.X)
	case *ast.Ident:
		return of.Name
	}
	return ""
}

// TestDocumentsNameTestsThatExist: each test, benchmark and fuzz target that a
// document names is there, those of doc/guarantees.md and CONTRIBUTING.md above all.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	files, err := goFiles("_test.go")
	if err != nil {
		t.Fatal(err)
	}
	is := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)[A-Z]\w*)\(\w+ \*testing\.[TBF]\)`)
	tests := map[string]bool{}
	for _, file := range files {
		for _, m := range is.FindAllStringSubmatch(read(t, file), -1) {
			tests[m[1]] = true
		}
	}
	named := map[string]int{}
	for _, d := range manuals(t) {
		for _, name := range testName.FindAllString(d.Text, -1) {
			named[d.Path]++
			if !tests[name] {
				t.Errorf("%s names %s, and there is no such test", d.Path, name)
			}
		}
	}
	if named["doc/guarantees.md"] < 200 || named["CONTRIBUTING.md"] < 20 {
		t.Errorf("only so many tests were found to be named: %v", named)
	}
}

// TestContributingNamesFilesThatExist: what it says is to be touched is there.
func TestContributingNamesFilesThatExist(t *testing.T) {
	path := regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+$|^[\w-]+\.(go|md|sql|txt|txtar|yml)$`)
	found := 0
	for _, m := range inBackticks.FindAllStringSubmatch(read(t, "CONTRIBUTING.md"), -1) {
		name := m[1]
		if !path.MatchString(name) {
			continue
		}
		found++
		if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
			t.Errorf("CONTRIBUTING.md names %s: %v", name, err)
		}
	}
	if found < 40 {
		t.Errorf("only %d files were found to be named", found)
	}
}
