package e2e

import (
	"fmt"
	"testing"
	"time"

	"accountexport/events"
)

// TestSearchThatMissedAMessageProvesNothing: the server skips a message of which a bit has flipped,
// so nobody knows whose it was. The erasure has searched fewer messages than the stream counts, and
// is not reported as complete. Once the loss of that message is accepted, the receipt covers all
// others and says so.
func TestSearchThatMissedAMessageProvesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	for i := range 5 {
		m := events.Message{Subject: "controlplane.account." + another, Data: fmt.Appendf(nil, "flip-me-%d", i)}
		if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	s.waitProjected(t)
	s.flipBit(t, "CONTROL_PLANE", "flip-me-2")
	s.waitProjected(t)
	s.erase(t, someone, 1, "`projector accept`")
	s.mustRun(t, 18, "cannot give", "status")
	s.checkStatusConsistent(t, 18)
	s.mustRun(t, 0, "accepted", "accept", "--yes")
	s.startProjector(t)
	eventually(t, "a projector to run", time.Minute, s.sharedEvenly(16))
	s.erase(t, someone, 0, "unreadable         1 messages")
	s.erase(t, someone, 0, nothingLeft)
	s.mustRun(t, 0, "", "status")
}
