package e2e

import (
	"strings"
	"testing"

	"accountexport/readmodel/admin"
)

// TestReplacedEndOnItsWayIsAsked: the stream's end was replaced, and `run` refuses
// with 16. A plain rebuild finds everybody "on their way", and cuts over: what was
// served is gone, without --accept-differences.
func TestReplacedEndOnItsWayIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.waitProjected(t)
	projector.stop(t)
	restore := s.backUpNATS(t)
	s.restartNATS(t)
	s.publishSandbox(t, someone, "served")
	projector = s.startProjector(t)
	s.waitProjected(t)
	projector.stop(t)
	restore()
	s.restartNATS(t)
	s.publishSandbox(t, someone, "other")
	s.publishSandbox(t, someone, "another")
	s.mustRun(t, 16, "has lost its end", "run")
	out, status := s.run(t, "rebuild")
	if status == 0 || strings.Contains(out, "is live") {
		t.Errorf("it was cut over to, and a sandbox that was served is gone: exit %d", status)
	}
}

// TestBegunByMistakeIsTakenBack: an erasure that was begun by mistake, and cut off before it
// had published anything, cannot be taken back; the address is kept for ever.
func TestBegunByMistakeIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	// What erase does first of all.
	if err := admin.BeginErasure(t.Context(), s.pool, uuid(t, someone), []string{addressOf(someone)}, false); err != nil {
		t.Fatal(err)
	}
	s.run(t, "erasures", "remove", "--account", someone, "--yes")
	if out, status := command(t, "projector", s.settings, "status"); strings.Contains(out, "is not finished") {
		t.Errorf("status: exit %d: %s", status, out)
	}
}
