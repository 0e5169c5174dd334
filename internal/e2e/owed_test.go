package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel/admin"
)

// TestReplacedEndOnItsWayIsAsked: the stream's end was replaced, and `run` refuses
// with 16. A plain rebuild finds everybody "on their way", and cuts over: what was
// served is gone, without --accept-differences.
func TestReplacedEndOnItsWayIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	restore := s.backUp(t)
	sandbox := func(id string) {
		t.Helper()
		m, err := events.NewSandboxCreated(events.Meta{ID: id, Source: "/test", Time: events.TimeOf(time.Now())}, uuid(t, someone),
			events.SandboxCreated{ID: id, Template: "x"})
		if err == nil {
			_, err = s.client.PublishRaw(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.freshly(t)
	sandbox("served")
	projector = launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	restore()
	s.freshly(t)
	sandbox("other")
	sandbox("another")
	s.says(t, 16, "has lost its end", "run")
	out, status := command(t, "projector", s.settings, "rebuild")
	t.Logf("rebuild: exit %d: %s", status, out)
	if status == 0 || strings.Contains(out, "is live") {
		t.Errorf("it was cut over to, and a sandbox that was served is gone: exit %d", status)
	}
}

// TestBegunByMistakeIsTakenBack: an erasure that was begun by mistake, and cut off before it
// had published anything, cannot be taken back; the address is kept for ever.
func TestBegunByMistakeIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	// What erase does first of all.
	if err := admin.BeginErasure(t.Context(), s.pool, uuid(t, someone), []string{addressOf(someone)}, false); err != nil {
		t.Fatal(err)
	}
	out, status := command(t, "projector", s.settings, "erasures", "remove", "--account", someone, "--yes")
	t.Logf("remove: exit %d: %s", status, out)
	if out, status := command(t, "projector", s.settings, "status"); strings.Contains(out, "is not finished") {
		t.Errorf("status: exit %d: %s", status, out)
	}
}
