package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestErasureAsksOnATerminal: on a terminal only yes erases. Elsewhere, and with --yes, the command
// does not ask.
func TestErasureAsksOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	answered := func(answer string, want int, says string, more ...string) {
		t.Helper()
		keyboard, terminal := pseudoTerminal(t)
		if _, err := keyboard.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary(t, "projector"), append([]string{"erase", "--account", someone}, more...)...)
		for k, v := range s.settings {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		cmd.Stdin = terminal
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != want || !strings.Contains(string(out), says) {
			t.Errorf("%q: exit %d, want %d and %q: %s", answer, status, want, says, out)
		}
	}
	for _, no := range []string{"no\n", "\n", "YES\n", "\x04"} {
		answered(no, 1, "Type yes: ")
	}
	if info := s.info(t); info.Last != 3 {
		t.Errorf("something was published: %+v", info)
	}
	var outcomes string
	if err := s.pool.QueryRow(t.Context(), `SELECT string_agg(outcome, ' ') FROM export.audit WHERE what = 'account.erase'`).Scan(&outcomes); err != nil ||
		outcomes != "refused refused refused refused" {
		t.Errorf("the audit says %s, %v", outcomes, err)
	}
	answered("yes\n", 0, nothingLeft)
	answered("no\n", 0, "was erased already", "--yes")
}

func pseudoTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return keyboard, terminal
}
