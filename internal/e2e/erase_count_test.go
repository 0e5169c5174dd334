package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"accountexport/events"
)

// TestSearchThatMissedAMessageProvesNothing: the server skips a stored message of
// which a bit has flipped, so that nobody knows whose it was; the search has seen
// fewer messages than the stream says it holds, and the erasure does not end as
// if all were well. Once that message is accepted as lost, it is proven of all
// others, and the receipt says so.
func TestSearchThatMissedAMessageProvesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	for i := range 5 {
		m := events.Message{Subject: "controlplane.account." + another, Data: fmt.Appendf(nil, "flip-me-%d", i)}
		if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.flipABit(t, "flip-me-2")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, someone, 1, "`projector accept`")
	s.says(t, 18, "cannot give", "status")
	s.saysWithoutContradiction(t, 18)
	s.says(t, 0, "accepted", "accept", "--yes")
	launch(t, "projector", s.settings, "run")
	eventually(t, "a projector to run", time.Minute, s.evenly(16))
	s.erase(t, someone, 0, "unreadable         1 messages")
	s.erase(t, someone, 0, nothingLeft)
	s.says(t, 0, "", "status")
}

// flipABit flips one bit of a text in the stream's files while the server is
// away.
func (s *system) flipABit(t *testing.T, text string) {
	t.Helper()
	s.nats.Halt()
	files, err := filepath.Glob(filepath.Join(s.nats.Dir(), "jetstream", "*", "streams", "CONTROL_PLANE", "msgs", "*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			b[i] ^= 1
			flipped++
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if flipped != 1 {
		t.Fatalf("%q is in %d of %v", text, flipped, files)
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
