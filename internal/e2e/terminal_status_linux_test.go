package e2e

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStatusIsWatchedInPlace: on a terminal each status replaces the one before.
func TestStatusIsWatchedInPlace(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	screen, terminal := pseudoTerminal(t)
	cmd := exec.Command(binary(t, "projector"), "status", "--watch", "--interval", "100ms")
	for k, v := range s.settings {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout = terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shown := &lockedBuffer{}
	go func() { // ends when the terminal is closed
		b := make([]byte, 4096)
		for {
			n, err := screen.Read(b)
			if err != nil {
				return
			}
			_, _ = shown.Write(b[:n])
		}
	}()
	const look = "\x1b[Hgeneration 1 (live), projection version "
	eventually(t, "looks, each in the place of the one before", time.Minute, hasPrinted(&process{out: shown}, "\x1b[K\r\n\x1b[J"+look))
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("asked to end: %v", err)
	}
	if out := shown.tail(1 << 20); !strings.Contains(out, "position 3 of 3, 0 behind; 0 parked\x1b[K") {
		t.Errorf("shown was %q", out)
	}
}
