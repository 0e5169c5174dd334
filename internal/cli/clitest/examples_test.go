package clitest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProgramCallsAreFound: in a command line, a call of the program is what a shell
// would call it with.
func TestProgramCallsAreFound(t *testing.T) {
	for line, want := range map[string][][]string{
		"projector status": {{"projector", "status"}},
		"projector provision && projector run 2>> log || exit 1":                  {{"projector", "provision"}, {"projector", "run"}},
		`jq '.id = "x | y"' event.json | projector publish --note "a && b" > out`: {{"projector", "publish", "--note", "a && b"}},
		"# projector status":  nil,
		"echo projector":      nil,
		"x projector status ": nil,
		"projector export --at=1234 < /dev/null ; projector help": {{"projector", "export", "--at=1234"}, {"projector", "help"}},
	} {
		if diff := cmp.Diff(want, programCalls(line, "projector")); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}
