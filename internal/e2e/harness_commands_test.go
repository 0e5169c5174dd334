package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// command runs a program to its end.
func command(t testing.TB, name string, settings map[string]string, args ...string) (output string, status int) {
	t.Helper()
	return commandFile(t, binary(t, name), settings, args...)
}

// commandFile does so with the program in a file.
func commandFile(t testing.TB, file string, settings map[string]string, args ...string) (output string, status int) {
	t.Helper()
	p := launchFile(t, file, settings, args...)
	status = p.wait()
	return p.out.tail(1 << 20), status
}

// startProjector starts `projector run`.
func (s *system) startProjector(t testing.TB) *process {
	t.Helper()
	return launchFile(t, s.projector(t), s.settings, "run")
}

// run runs a command of the projector to its end, and logs how it ended.
func (s *system) run(t testing.TB, args ...string) (output string, status int) {
	t.Helper()
	output, status = commandFile(t, s.projector(t), s.settings, args...)
	t.Logf("%v: exit %d: %.4000s", args, status, output)
	return output, status
}

// mustRun runs a command of the projector and ends the test unless it exits with
// this status and prints this text.
func (s *system) mustRun(t testing.TB, want int, text string, args ...string) (output string) {
	t.Helper()
	output, status := commandFile(t, s.projector(t), s.settings, args...)
	if status != want || !strings.Contains(output, text) {
		t.Fatalf("%v: exit %d, want %d and %q: %s", args, status, want, text, output)
	}
	return output
}

// checkRun is mustRun, but the test goes on.
func (s *system) checkRun(t testing.TB, want int, text string, args ...string) (output string) {
	t.Helper()
	output, status := commandFile(t, s.projector(t), s.settings, args...)
	if status != want || !strings.Contains(output, text) {
		t.Errorf("%v: exit %d, want %d and %q: %s", args, status, want, text, output)
	}
	return output
}

// checkContains requires that an output holds all of these texts.
func checkContains(t testing.TB, output string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(output, text) {
			t.Errorf("%q is missing in: %s", text, output)
		}
	}
}

// mustExit waits for the program's end and ends the test unless it exits with this
// status.
func (p *process) mustExit(t testing.TB, want int) {
	t.Helper()
	if status := p.wait(); status != want {
		t.Fatalf("exit %d, want %d: %s", status, want, p.out.tail(1<<16))
	}
}

// stop asks the program to end, as a supervisor does, and requires that it exits
// with 0.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	p.mustExit(t, 0)
}
