package accountexport_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// What a comment can only mean as the name of something: a file of Go code, or a word
// with a capital inside.
var (
	fileInComment = regexp.MustCompile(`[\w./-]*\w\.go\b`)
	wordInComment = regexp.MustCompile(`\b[A-Za-z][A-Za-z0-9]*[a-z0-9][A-Z][A-Za-z0-9]*\b`)
)

// properNames are words of comments that look like identifiers and are none.
var properNames = strings.Fields(`GitHub OpenMetrics OpenTelemetry GiB`)

// TestCommentsNameWhatIsThere: a file that a comment names exists, in the comment's own
// folder if no other is named, and a word with a capital inside is a word of code somewhere: of this module in any language, of the
// standard library, or of a module that this one uses. Comments of what was renamed
// or taken out are found so, but for those that a homonym elsewhere hides.
func TestCommentsNameWhatIsThere(t *testing.T) {
	files, err := goFiles(".go")
	if err != nil {
		t.Fatal(err)
	}
	type comment struct{ folder, at, text string }
	var comments []comment
	known := map[string]bool{}
	for _, word := range properNames {
		known[word] = true
	}
	for _, file := range files {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		codeWords(f, known)
		for _, group := range f.Comments {
			for _, c := range group.List {
				if !strings.HasPrefix(c.Text, "//go:") {
					comments = append(comments, comment{filepath.Dir(file), set.Position(c.Pos()).String(), c.Text})
				}
			}
		}
	}
	otherWords(t, known)
	dependencyWords(t, known)
	found := 0
	for _, c := range comments {
		for _, file := range fileInComment.FindAllString(c.text, -1) {
			found++
			at := file
			if !strings.Contains(file, "/") {
				at = filepath.Join(c.folder, file)
			}
			if _, err := os.Stat(at); err != nil && !slices.Contains(notFiles, file) {
				t.Errorf("%s names %s, and there is no such file", c.at, file)
			}
		}
		for _, word := range wordInComment.FindAllString(c.text, -1) {
			if found++; !known[word] {
				t.Errorf("%s names %s, which is declared nowhere", c.at, word)
			}
		}
	}
	if found < 1000 {
		t.Errorf("only %d names were found in comments", found)
	}
}

// notFiles are libraries that are called like a file.
var notFiles = []string{"nats.go"}

// codeWords adds the identifiers of a file, and the words of its strings: keys of JSON,
// SQL, flags.
func codeWords(f *ast.File, known map[string]bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			known[n.Name] = true
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				for _, word := range wordInComment.FindAllString(n.Value, -1) {
					known[word] = true
				}
			}
		}
		return true
	})
}

// otherWords adds the words of what is not Go: examples, units, compose files.
func otherWords(t *testing.T, known map[string]bool) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "node_modules" || d.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains([]string{".ts", ".mjs", ".js", ".yml", ".service", ".json", ".sql", ".mod"}, filepath.Ext(file)) {
			return nil
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, word := range wordInComment.FindAllString(string(b), -1) {
			known[word] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dependencyWords adds what the packages declare that this module's packages and tests
// import, by themselves or through others.
func dependencyWords(t *testing.T, known map[string]bool) {
	t.Helper()
	all, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps, Tests: true}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	packages.Visit(all, nil, func(p *packages.Package) {
		if strings.HasPrefix(p.PkgPath, module) {
			return
		}
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				continue // such as assembler's own
			}
			names := map[string]bool{}
			for _, d := range f.Decls {
				declare(names, d)
			}
			for name := range names {
				for part := range strings.SplitSeq(name, ".") {
					known[part] = true
				}
			}
		}
	})
}
