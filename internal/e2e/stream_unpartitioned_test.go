package e2e

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// TestMessageWithoutPartition: a message that was published while the stream had no subject
// transform belongs to its account for the live fold, `verify`, `history`, `export`, a refold, a
// rebuild and an erasure.
func TestMessageWithoutPartition(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	projector.stop(t)
	account := uuid(t, someone)
	name := "Without a partition"
	m, err := events.NewUserProfileUpdated(newMeta("bare"), account,
		events.UserProfileUpdated{Name: events.Some(name)})
	if err != nil {
		t.Fatal(err)
	}
	position := s.publishBare(t, m)
	projector = s.startProjector(t)
	s.waitProjected(t)
	if now := served(); !strings.Contains(now, name) {
		t.Fatalf("the live fold has left it out: %s", now)
	}
	s.checkAgainstOracle(t)
	s.checkRun(t, 0, " 0 differ", "verify", "--all")
	s.checkRun(t, 0, name, "history", "--account", someone)
	s.checkRun(t, 0, name, "export", "--account", someone)
	s.checkRun(t, 0, " 0 have changed", "refold", "--account", someone)
	s.checkRun(t, 0, " 0 of them differ", "rebuild")
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	s.checkRun(t, 0, nothingLeft, "erase", "--account", someone)
	if _, err := s.client.Get(t.Context(), position); err == nil {
		t.Errorf("message %d is still there", position)
	}
	if out := projector.out.tail(1 << 20); strings.Contains(out, "differs from a fold") {
		t.Errorf("the audit found a difference where there is none: %s", out)
	}
}

// publishBare publishes a message while the stream has no subject transform.
func (s *system) publishBare(t *testing.T, m events.Message) (position uint64) {
	t.Helper()
	transform := s.stream(t).CachedInfo().Config.SubjectTransform
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.SubjectTransform = nil })
	position = s.publishEvent(t, m, nil)
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.SubjectTransform = transform })
	return position
}
