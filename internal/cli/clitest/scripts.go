// Package clitest tests what every program of this module promises to a shell: in
// scripts, which people read, and by walking the tree of commands, so that a new
// command is tested without being listed anywhere.
package clitest

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"accountexport/internal/local/testrun"
)

// Main runs the tests, or the program where a script has started this test binary as
// the program.
func Main(m testscript.TestingM, program string, main func()) {
	testscript.Main(m, map[string]func(){program: main})
}

// Command is a command of scripts.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

const scripts = "testdata/script"

// Scripts runs the scripts in testdata/script. The program starts with no other
// environment variables than the script sets. Beside the commands of testscript and
// those given, scripts have
//
//	exits STATUS PROGRAM [ARGUMENT…]   the program ends with exactly this status
//	until STATUS PROGRAM [ARGUMENT…]   it is called again, for 20 s at most, until it ends with this status
//	needs TOOL INSTALL                 skips the script where the tool is missing; see [testrun.Tool]
func Scripts(t *testing.T, more map[string]Command) {
	t.Helper()
	commands := map[string]Command{"exits": exits, "until": until, "needs": needs}
	for name, c := range more {
		commands[name] = c
	}
	testscript.Run(t, testscript.Params{Dir: scripts, Cmds: commands, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // otherwise each program that is built with the race detector ends a second later
			env.Values[test{}] = env.T()
			return nil
		}})
}

type test struct{} // the key of a script's test

// Test is the test of a script, for commands that start servers.
func Test(ts *testscript.TestScript) testing.TB { return ts.Value(test{}).(testing.TB) }

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want := wanted(ts, neg, args)
	if got := status(ts, args[1], args[2:]); got != want {
		ts.Fatalf("%s ends with exit status %d, want %d", args[1], got, want)
	}
}

func needs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: needs TOOL INSTALL")
	}
	testrun.Tool(Test(ts), args[0], args[1])
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	want, limit := wanted(ts, neg, args), time.Now().Add(20*time.Second)
	for {
		got := status(ts, args[1], args[2:])
		if got == want {
			return
		}
		if time.Now().After(limit) {
			ts.Fatalf("%s ends with exit status %d for 20 s, want %d", args[1], got, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func wanted(ts *testscript.TestScript, neg bool, args []string) int {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits|until STATUS PROGRAM [ARGUMENT…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	return want
}

// status is the exit status of the program, -1 for a signal.
func status(ts *testscript.TestScript, program string, args []string) int {
	err := ts.Exec(program, args...)
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	ts.Check(err)
	return 0
}

// Covered fails where a script does not begin with a comment that says what it
// protects, or where no script shows the help of a command.
func Covered(t *testing.T, root *cobra.Command) {
	t.Helper()
	lines := Lines(t)
	Walk(root, func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		topic := strings.TrimPrefix(strings.TrimPrefix(path, root.Name()), " ")
		if !slices.Contains(lines, "exits 0 "+path+" --help") && !slices.Contains(lines, "exits 0 "+root.Name()+" help "+topic) {
			t.Errorf("no script shows the help of %s", path)
		}
	})
}

// Lines are the lines of all scripts.
func Lines(t *testing.T) (lines []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(scripts, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for n, s := 0, bufio.NewScanner(f); s.Scan(); n++ {
			if n == 0 && !strings.HasPrefix(s.Text(), "# ") {
				t.Errorf("%s does not begin with a comment that says what it protects", file)
			}
			lines = append(lines, s.Text())
		}
	}
	return lines
}

// Walk visits a command and those below it.
func Walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		Walk(c, visit)
	}
}
