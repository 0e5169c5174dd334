package accountexport_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/testrun"
)

// languages are what a block may be of: shell commands, which are run; settings; text,
// such as drawings and what programs print.
var languages = []string{"sh", "ini", "json", ""}

var (
	fence        = regexp.MustCompile("^[ \t>*-]*(```|~~~)")
	plainFence   = regexp.MustCompile("^```[a-z]*$")
	indented     = regexp.MustCompile(`^( {4}|\t)`)
	otherCode    = regexp.MustCompile(`(?i)<(pre|code)\b`)
	programCall  = regexp.MustCompile(`(?m)^\s*(\$ |(sudo )?(projector|api|devstack|nats|make|docker|curl|psql|go|npm|systemctl|apt|apt-get|export) [a-z-])`)
	assignment   = regexp.MustCompile(`^([A-Z][A-Z0-9_]*)=`)
	commandWords = regexp.MustCompile(`^[a-z][\w-]*(?: [a-z][\w-]*)?`)
)

// TestEveryBlockIsRun: each block of shell commands is run by TestDocumentsRun of
// internal/e2e, or the comment above it names tests that follow it: their code, or what
// they call in their package, takes the blocks from that document, or has the words that
// each command begins with. No block escapes by how it is written.
func TestEveryBlockIsRun(t *testing.T) {
	tests := testSources(t)
	if tests["TestDocumentsRun"] == "" {
		t.Error("there is no TestDocumentsRun that would run what no other test does")
	}
	for _, d := range manuals(t) {
		for _, fault := range unusualBlocks(d) {
			t.Error(fault)
		}
		for _, b := range d.Blocks() {
			for _, fault := range wrongBlock(b, tests) {
				t.Errorf("%s %s", b.At(), fault)
			}
		}
	}
}

// unusualBlocks are the lines that begin a block in another way than documents.Document
// knows.
func unusualBlocks(d documents.Document) (faults []string) {
	before, within := "", false
	for line := range strings.Lines(d.Text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case plainFence.MatchString(line):
			within = !within
		case fence.MatchString(line) && !within && strings.Count(line, "```") < 2:
			faults = append(faults, d.Path+": a block begins with ```, at the beginning of a line, and one word after it at most, not "+line)
		case !within && indented.MatchString(line) && strings.TrimSpace(before) == "":
			faults = append(faults, d.Path+": a block is fenced, not indented: "+line)
		case !within && otherCode.MatchString(inBackticks.ReplaceAllString(line, "")):
			faults = append(faults, d.Path+": a block is fenced: "+line)
		}
		before = line
	}
	if within {
		faults = append(faults, d.Path+": a block does not end")
	}
	return faults
}

// wrongBlock is what is wrong with a block.
func wrongBlock(b documents.Block, tests map[string]string) (faults []string) {
	switch {
	case !slices.Contains(languages, b.Lang):
		return []string{"is a block of \"" + b.Lang + "\": call shell commands sh, and they are run"}
	case b.Lang != "sh" && programCall.MatchString(b.Text):
		return []string{"has a command, " + programCall.FindString(b.Text) + "…: call it sh, and it is run"}
	case b.Lang == "sh" && b.Comment != "":
		faults = append(faults, "has the comment \""+b.Comment+"\" above it: it has to be what internal/local/documents knows, such as `run by TestName`, or not there")
	}
	if len(b.RunBy) == 0 {
		return faults
	}
	follows := map[string]bool{}
	for _, test := range b.RunBy { // one that takes them from the document follows all of them
		if strings.Contains(tests[test], ".Blocks()") && strings.Contains(tests[test], b.Path) {
			return faults
		}
	}
	for _, words := range beginnings(b.Text) {
		by := slices.DeleteFunc(slices.Clone(b.RunBy), func(test string) bool { return !hasWords(tests[test], words) })
		if len(by) == 0 {
			faults = append(faults, "is run by "+strings.Join(b.RunBy, ", ")+", and none of these has the words "+strings.Join(words, " "))
		}
		for _, test := range by {
			follows[test] = true
		}
	}
	for _, test := range b.RunBy {
		if !follows[test] {
			faults = append(faults, "is run by "+test+", which is not there, or has no word of it")
		}
	}
	return faults
}

// beginnings are the first words of each command of a block: its name and the word after
// it, or the variable that it sets.
func beginnings(text string) (all [][]string) {
	continued := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := assignment.FindStringSubmatch(line); m != nil && !continued {
			all = append(all, m[1:])
		} else if words := commandWords.FindString(line); words != "" && !continued {
			all = append(all, strings.Fields(words))
		}
		continued = strings.HasSuffix(line, `\`)
	}
	return all
}

func hasWords(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !regexp.MustCompile(`\b` + word + `\b`).MatchString(text) })
}

// testSources is the text of each test, its comment included, with that of whatever of
// its package's tests it names.
func testSources(t *testing.T) map[string]string {
	t.Helper()
	files, err := goFiles("_test.go")
	if err != nil {
		t.Fatal(err)
	}
	type declaration struct {
		text  string
		names []string
	}
	packages := map[string]map[string]declaration{}
	for _, file := range files {
		set, text := token.NewFileSet(), read(t, file)
		f, err := parser.ParseFile(set, file, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Dir(file)
		if packages[folder] == nil {
			packages[folder] = map[string]declaration{}
		}
		for _, d := range f.Decls {
			is := declaration{}
			from := d.Pos()
			if f, ok := d.(*ast.FuncDecl); ok && f.Doc != nil {
				from = f.Doc.Pos()
			}
			is.text = text[set.Position(from).Offset:set.Position(d.End()).Offset]
			ast.Inspect(d, func(n ast.Node) bool {
				if n, ok := n.(*ast.Ident); ok {
					is.names = append(is.names, n.Name)
				}
				return true
			})
			declared := map[string]bool{}
			declare(declared, d)
			for name := range declared {
				if f, ok := d.(*ast.FuncDecl); ok {
					name = f.Name.Name // a method is named behind a value
				}
				before := packages[folder][name]
				packages[folder][name] = declaration{before.text + is.text, append(before.names, is.names...)}
			}
		}
	}
	tests := map[string]string{}
	for _, all := range packages {
		for name := range all {
			if !strings.HasPrefix(name, "Test") {
				continue
			}
			var text strings.Builder
			seen, next := map[string]bool{}, []string{name}
			for len(next) > 0 {
				at := next[0]
				next = next[1:]
				if d, there := all[at]; there && !seen[at] {
					seen[at] = true
					text.WriteString(d.text)
					next = append(next, d.names...)
				}
			}
			tests[name] = text.String()
		}
	}
	return tests
}

// TestBlocksThatEscapeAreFound: ways to write a command that nobody would run.
func TestBlocksThatEscapeAreFound(t *testing.T) {
	tests := testSources(t)
	for _, text := range []string{
		"- so:\n\n  ```sh\n  projector run\n  ```\n",
		"~~~sh\nprojector run\n~~~\n",
		"so:\n\n    projector run\n",
		"<pre>projector run</pre>\n",
		"````sh\nprojector run\n````\n",
		"```console\n$ projector run\n```\n",
		"```\n$ ls\n```\n",
		"```\nprojector run\n```\n",
		"<!-- not run -->\n```sh\nmake run\n```\n",
		"<!-- run by TestNowhere -->\n```sh\nmake run\n```\n",
		"<!-- run by TestReadmeIsShort -->\n```sh\nmake run\n```\n",
		"<!-- run by TestMakeTargetsExist, TestReadmeIsShort -->\n```sh\nmake run\n```\n",
		"<!-- run by TestMakeTargetsExist -->\n```sh\nmake run\nprojector refold\n```\n",
	} {
		d := documents.Document{Path: "d.md", Text: text}
		faults := unusualBlocks(d)
		for _, b := range d.Blocks() {
			faults = append(faults, wrongBlock(b, tests)...)
		}
		if len(faults) == 0 {
			t.Errorf("nothing is said of %s", text)
		}
	}
}

// TestNATSCommandsExist: what documents say of the nats command it knows.
func TestNATSCommandsExist(t *testing.T) {
	tool := testrun.Tool(t, "nats", "go install github.com/nats-io/natscli/nats@v0.5.0")
	call, named := regexp.MustCompile(`(?m)^nats( [a-z]+)+`), map[string]bool{}
	for _, d := range manuals(t) {
		for _, s := range d.Spans() {
			if c := call.FindString(s.Text); c != "" {
				named[c] = true
			}
		}
		for _, b := range d.Blocks() {
			for _, c := range call.FindAllString(b.Text, -1) {
				named[c] = true
			}
		}
	}
	if len(named) < 5 {
		t.Errorf("only %v were found to be named", named)
	}
	named["nats strm edit"] = false
	for command, right := range named {
		out, err := exec.Command(tool, append(strings.Fields(command)[1:], "--help")...).CombinedOutput()
		if (err == nil) != right {
			t.Errorf("%s --help: %v: %s", command, err, out)
		}
	}
}
