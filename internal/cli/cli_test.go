package cli

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// call calls a small program: `demo paint --colour red|green [--coats N] [--wet] FILE`,
// where painting fails in green, and `demo look`, which has only flags of cobra's own
// kinds. Its settings are wrong where environ says so.
func call(stdout io.Writer, environ string, args ...string) (status int, said string) {
	colour, coats, file, wet := "", 1, "", false
	var stderr strings.Builder
	root := &cobra.Command{Use: "demo", Short: "Show"}
	root.PersistentFlags().String("level", "", "LEVEL: a setting")
	paint := &cobra.Command{Use: "paint --colour red|green [--coats N] [--wet] FILE", Short: "Paint", Args: Arg(&file, Text("FILE", "a file")),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if colour == "green" {
				return fmt.Errorf("no %s left", colour)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), colour, coats, file)
			return err
		}}
	Required(paint.Flags(), &colour, "colour", OneOf("red", "green"), "which")
	Flag(paint.Flags(), &coats, "coats", Whole("N", 1, 9), "how many")
	paint.Flags().BoolVar(&wet, "wet", false, "leave it wet")
	look := &cobra.Command{Use: "look --at TEXT", Short: "Look", Run: func(cmd *cobra.Command, _ []string) { cmd.Print("looked") }}
	look.Flags().Int("at", 0, "where")
	_ = look.MarkFlagRequired("at")
	quiet := &cobra.Command{Use: "quiet", Short: "End with a status", RunE: func(*cobra.Command, []string) error { return Status(7) }}
	root.AddCommand(paint, look, quiet)
	status = New(root, Options{Stdout: stdout, Stderr: &stderr, Version: "demo 1\n",
		Load: func(*cobra.Command) error {
			if environ != "" {
				return errors.New("settings: " + environ)
			}
			return nil
		},
		Code: func(error) int { return 9 },
	}).Run(root.Context(), args)
	return status, stderr.String()
}

func TestCalls(t *testing.T) {
	for _, test := range []struct {
		args    string
		environ string
		status  int
		stdout  string
		stderr  string
	}{
		{"paint --colour red a", "", 0, "red 1 a\n", ""},
		{"paint --colour=red --coats 2 -- --level", "", 0, "red 2 --level\n", ""},
		{"--level 1 paint --colour red --colour red a", "", 0, "red 1 a\n", ""}, // the same value twice
		{"paint --colour green a", "", 9, "", "demo: no green left\n"},
		{"quiet", "", 7, "", ""},
		{"paint --colour red a", "LEVEL is bad", 2, "", "demo: settings: LEVEL is bad\nusage: demo paint --colour red|green [--coats N] [--wet] FILE; `demo paint --help` says more\n"},
		{"paint --colour blue", "LEVEL is bad", 2, "", "demo: FILE is missing: it has to be a file\n      --colour is \"blue\": it has to be red or green\nusage: demo paint"},
		{"paint a", "", 2, "", "demo: --colour is missing: it has to be red or green\n"},
		{"paint --colour red --level 1 --level 2 a", "", 2, "", "demo: --level is given more than once"},
		{"paint --colour --coats 2 a", "", 2, "", "--colour has no value: --coats comes behind it"},
		{"look", "", 2, "", "demo: --at is missing: it has to be given\n"},
		{"look --at here", "", 2, "", "demo: --at is \"here\": it has to be another value\n"},
		{"look --at 1", "", 0, "looked", ""},
		{"--coats 2 paint --colour red a", "", 0, "red 2 a\n", ""},
		{"--wet paint --colour red a", "", 2, "", "--wet is a flag of a command, and has to come behind its name"},
		{"pain", "", 2, "", "did you mean paint?"},
		{"paint --colour red a b", "", 2, "", `demo: found "b" after FILE: one argument belongs here`},
		{"paint --colour red " + strings.Repeat("s", 32), "", 0, "red 1 " + strings.Repeat("s", 32) + "\n", ""},
		{"look --at 1 " + strings.Repeat("s", 32), "", 2, "", "demo: found (hidden): no argument belongs here"},
		{"look --at 1 3c90c3cc-0d44-4b50-8888-8dd25736052a", "", 2, "", `demo: found "3c90c3cc-0d44-4b50-8888-8dd25736052a"`},
		{"__complete paint --col", "LEVEL is bad", 0, "--colour\twhich\n:4\n", "Completion ended"},
		{"--version", "LEVEL is bad", 0, "demo 1\n", ""},
	} {
		var stdout strings.Builder
		status, stderr := call(&stdout, test.environ, strings.Fields(test.args)...)
		if status != test.status || stdout.String() != test.stdout || !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
			t.Errorf("%s: exit %d\nstdout %q\nstderr %q\nwant %d\nstdout %q\nstderr %q", test.args, status, stdout.String(), stderr, test.status, test.stdout, test.stderr)
		}
	}
}

// TestNoArgumentsAreNotThisProcesss: where cobra is given no arguments, it takes those
// of the process.
func TestNoArgumentsAreNotThisProcesss(t *testing.T) {
	status, stderr := call(io.Discard, "")
	if status != 2 || !strings.HasPrefix(stderr, "Usage:\n  demo COMMAND\n") || !strings.HasSuffix(stderr, "demo: say which: completion, help, look, paint or quiet\n") {
		t.Errorf("exit %d: %s", status, stderr)
	}
}

// TestAPanicIsAFailure: status 2, which Go would end with, would say that nothing was
// done.
func TestAPanicIsAFailure(t *testing.T) {
	var stderr strings.Builder
	nothing := map[string]int(nil)
	status := caught(&stderr, func() int { nothing["a"] = 1; return 0 })
	if said := stderr.String(); status != 1 || !strings.HasPrefix(said, "panic: assignment to entry in nil map\n\ngoroutine ") || !strings.Contains(said, "TestAPanicIsAFailure") {
		t.Errorf("exit %d: %s", status, stderr.String())
	}
	if status := caught(&stderr, func() int { return 10 }); status != 10 {
		t.Errorf("exit %d, want 10", status)
	}
}

// full is a writer that cannot write.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestOutputThatIsLostIsAFailure: also where the command ignores the error of writing.
func TestOutputThatIsLostIsAFailure(t *testing.T) {
	for _, args := range []string{"help", "help paint", "paint --help", "--version", "completion bash"} {
		if status, stderr := call(full{}, "", strings.Fields(args)...); status != 1 || stderr != "demo: standard output: no space left\n" {
			t.Errorf("%s: exit %d: %s", args, status, stderr)
		}
	}
}

func TestVersionSaysWhatIsKnown(t *testing.T) {
	for _, test := range []struct {
		info debug.BuildInfo
		want string
	}{
		{debug.BuildInfo{}, "demo (devel)\nrevision unknown\nmore\nbuilt with an unknown compiler\n"},
		{debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.time", Value: "2026-03-25T07:11:48Z"}, {Key: "vcs.modified", Value: "true"},
			{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "amd64"}}},
			"demo v1.2.3\nrevision 0123abc of 2026-03-25T07:11:48Z, modified\nmore\nbuilt with go1.26.0 for linux/amd64\n"},
	} {
		if got := describe("demo", &test.info, []string{"more"}); got != test.want {
			t.Errorf("got\n%swant\n%s", got, test.want)
		}
	}
}
