package clitest

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"accountexport/internal/local/documents"
)

// DocumentedCallsAreRight makes each call of the program that a document of the
// repository at root has between backticks, or in a block that is not run: the call has
// to be right, except that required flags and arguments may be missing. A call with
// brackets has to be the usage line of a command. doc/reference.md lists the usage
// lines of all commands.
func (p Program) DocumentedCallsAreRight(t *testing.T, root string) {
	t.Helper()
	all, err := documents.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	usages := map[string]bool{}
	Walk(p.Root(), func(cmd *cobra.Command) { usages[cmd.UseLine()] = true })
	found := 0
	listed := map[string]map[string]bool{}
	for _, d := range all {
		spans := d.Spans()
		for _, b := range d.Blocks() {
			if b.Lang == "sh" && len(b.RunBy) > 0 {
				for line := range strings.Lines(b.Text) {
					spans = append(spans, documents.Span{Path: b.Path, Line: b.Line, Text: line})
				}
			}
		}
		listed[d.Path] = map[string]bool{}
		for _, s := range spans {
			text, _, _ := strings.Cut(s.Text, " #")
			text = strings.TrimSpace(text)
			name, call, ours := strings.Cut(text, " ")
			if !ours || name != string(p.Name) {
				continue
			}
			found++
			switch {
			case usages[text]:
				listed[d.Path][text] = true
			case strings.ContainsAny(call, "[]()"):
				t.Errorf("%s:%d has `%s`, which is no usage line", s.Path, s.Line, text)
			default:
				p.documented(t, s, call)
			}
		}
	}
	if found == 0 {
		t.Errorf("no document calls %s", p.Name)
	}
	for _, name := range p.Commands() {
		cmd, _, err := p.Root().Find(strings.Fields(name))
		if err != nil {
			t.Fatal(err)
		}
		if name != "" && !listed["doc/reference.md"][cmd.UseLine()] {
			t.Errorf("doc/reference.md does not list `%s`", cmd.UseLine())
		}
	}
}

// documented makes one call, with all settings right and a context that has ended: it
// may fail, but not because the call is wrong.
func (p Program) documented(t *testing.T, s documents.Span, call string) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	stand := map[string]string{"ID": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "POSITION": "1", "GENERATION": "1", "N": "1", "TEXT": "seen to", "NAMES": "MIRROR",
		"FILE": filepath.Join(t.TempDir(), "file"), "COMMAND": "help", "TYPE": "user.registered.v1"}
	args := words(call)
	for i, arg := range args {
		if right, ok := stand[arg]; ok {
			args[i] = right
		}
	}
	got := p.call(ended, p.environ(), args...)
	if got.status != 2 {
		return
	}
	wrong, _, _ := strings.Cut(got.stderr, "usage: ")
	problems := slices.Collect(strings.Lines(strings.TrimSpace(wrong)))
	if cmd, rest, err := p.Root().Find(args); err == nil && cmd.HasSubCommands() && len(rest) == 0 {
		return // the text is about the group of commands
	}
	if slices.ContainsFunc(problems, func(problem string) bool { return !strings.Contains(problem, " is missing: ") }) {
		t.Errorf("%s:%d calls `%s %s`: %s", s.Path, s.Line, p.Name, call, wrong)
	}
}

// words splits a call as a shell does that knows no other quoting than a pair of ' or
// ".
func words(call string) (words []string) {
	for i, part := range strings.FieldsFunc(strings.NewReplacer(`'`, "\x00", `"`, "\x00").Replace(" "+call+" "), func(c rune) bool { return c == 0 }) {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}
