package clitest

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// ExamplesAreRight calls the program as the examples in each command's help do, with
// all settings right and a context that has ended: a call may fail then, but not
// because it is wrong. Every command has at least two examples. An example is a line
// that says what it is for, behind a #, and below it one or more command lines, of
// which one at least calls the command itself, or one that it holds.
func (p Program) ExamplesAreRight(t *testing.T) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	Walk(p.Root(), func(cmd *cobra.Command) {
		if free(cmd) {
			return
		}
		path := cmd.CommandPath()
		examples := 0
		var above string
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSuffix(line, "\n")
			text, indented := strings.CutPrefix(line, "  ")
			switch {
			case !indented || strings.TrimSpace(text) != text || text == "":
				t.Errorf("%s: the help's line %q is not two blanks and text", path, line)
			case strings.HasPrefix(text, "# "):
				examples++
				if strings.HasPrefix(above, "# ") {
					t.Errorf("%s: no command line below %q", path, above)
				}
			case above == "":
				t.Errorf("%s: no line above %q says what it is for", path, text)
			default:
				p.exampleLine(t, ended, cmd, text)
			}
			above = text
		}
		if examples < 2 || strings.HasPrefix(above, "# ") {
			t.Errorf("%s has %d examples, want two or three, each with a command line", path, examples)
		}
		if calls := programCalls(cmd.Example, string(p.Name)); !slices.ContainsFunc(calls, func(call []string) bool {
			return strings.HasPrefix(strings.Join(call, " ")+" ", path+" ")
		}) {
			t.Errorf("no example of %s calls it", path)
		}
	})
}

// exampleLine makes each call of the program in a command line.
func (p Program) exampleLine(t *testing.T, ctx context.Context, of *cobra.Command, line string) {
	t.Helper()
	calls := programCalls(line, string(p.Name))
	if len(calls) == 0 {
		t.Errorf("%s: the example %q does not call %s", of.CommandPath(), line, p.Name)
	}
	for _, call := range calls {
		if s := p.call(ctx, p.environ(), call[1:]...); s.status == 2 {
			t.Errorf("%s: the example %q is a wrong call: %s", of.CommandPath(), line, s.stderr)
		}
	}
}

var (
	shellWord   = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
	shellQuoted = regexp.MustCompile(`'([^']*)'|"([^"]*)"`)
	redirection = regexp.MustCompile(`^\d?(?:>>?|<)$`)
)

// programCalls are the calls of a program in a shell's command lines, each with the
// program's name: what stands between |, ||, && and ; without redirections and
// quotes. Operators have to stand by themselves, as they do where people read them.
func programCalls(lines, program string) (calls [][]string) {
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		var call []string
		end := func() {
			if len(call) > 0 && call[0] == program {
				calls = append(calls, call)
			}
			call = nil
		}
		words := shellWord.FindAllString(line, -1)
		for i := 0; i < len(words); i++ {
			switch w := words[i]; {
			case w == "|" || w == "||" || w == "&&" || w == ";":
				end()
			case redirection.MatchString(w):
				i++ // and the name of the file
			default:
				call = append(call, shellQuoted.ReplaceAllString(w, "$1$2"))
			}
		}
		end()
	}
	return calls
}
