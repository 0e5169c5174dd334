package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"accountexport/events"
)

// TestDestructiveCommandsAskOnATerminal: on a terminal, a command that cannot be undone or affects
// many accounts asks, with their number. Any answer but yes changes nothing, and with --yes it does
// not ask.
func TestDestructiveCommandsAskOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	for i := range 3 {
		m := events.Message{Subject: "controlplane.account." + someone, Data: fmt.Appendf(nil, "no JSON %d", i)}
		if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	s.waitProjected(t)
	s.mustRun(t, 0, "", "rebuild")
	answered := func(answer string, want int, says string, args ...string) {
		t.Helper()
		keyboard, terminal := pseudoTerminal(t)
		if _, err := keyboard.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary(t, "projector"), args...)
		for k, v := range s.settings {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		cmd.Stdin = terminal
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != want || !strings.Contains(string(out), says) {
			t.Errorf("%v, %q: exit %d, want %d and %q: %s", args, answer, status, want, says, out)
		}
	}
	answered("no\n", 1, "3 of 3 parked messages no longer count. Type yes: ", "parked", "dismiss", "--all", "--note", "x")
	answered("no\n", 0, "message 1 is dismissed", "parked", "dismiss", "1", "--note", "x") // it does not ask for one message
	answered("yes\n", 0, "2 of 3 parked messages are dismissed", "parked", "dismiss", "--all", "--note", "x")
	answered("\n", 1, "3 of 3 parked messages count again. Type yes: ", "parked", "undismiss", "--from", "1", "--note", "x")
	answered("no\n", 0, "3 of 3 parked messages are no longer dismissed", "parked", "undismiss", "--all", "--note", "x", "--yes")
	answered("no\n", 1, "Generation 1, retired, goes with its tables, and nothing can be rolled back to it. Type yes: ", "generations", "drop", "1")
	answered("no\n", 1, "Type yes: ", "generations", "drop", "1")
	answered("yes\n", 0, "generation 1 is dropped", "generations", "drop", "1")
}

// TestDocumentsOnATerminal: a document and a payload are written to a file byte by byte, and to a
// terminal without control characters.
func TestDocumentsOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	const payload = "no JSON \x1b[2J \u202e \u009b"
	s.publishRaw(t, "controlplane.account."+someone, payload)
	s.waitProjected(t)
	if out, _ := command(t, "projector", s.settings, "parked", "show", "1", "--payload"); !strings.Contains(out, "payload\n"+payload+"\n") {
		t.Errorf("into a file: %q", out)
	}
	keyboard, terminal := pseudoTerminal(t)
	cmd := exec.Command(binary(t, "projector"), "parked", "show", "1", "--payload")
	for k, v := range s.settings {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout = terminal
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	shown := make([]byte, 1<<16)
	n, err := keyboard.Read(shown)
	for err == nil && !strings.Contains(string(shown[:n]), "no JSON") {
		var more int
		more, err = keyboard.Read(shown[n:])
		n += more
	}
	if said := string(shown[:n]); err != nil || !strings.Contains(said, `no JSON \u001b[2J \u202e \u009b`) || strings.ContainsAny(said, "\x1b\u202e\u009b") {
		t.Errorf("on a terminal: %q, %v", said, err)
	}
}
