package e2e

import (
	"testing"

	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// TestRollBackOverALossIsRefused: a message that the live generation has folded is
// lost, and accepted. Rolling back to a generation that has not read it makes it
// live without it, unasked.
func TestRollBackOverALossIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	s.mustRun(t, 0, "is live", "rebuild")
	s.waitProjected(t)
	at := s.publishSandbox(t, someone, "lost")
	s.publishAndWait(t)
	had, err := export.NewReader(s.pool).Meta(t.Context(), uuid(t, someone))
	if err != nil {
		t.Fatal(err)
	}
	s.deleteMessage(t, at)
	projector.mustExit(t, 18)
	s.mustRun(t, 1, "would take from people", "rollback")
	s.mustRun(t, 0, "Documents stay as they are: all of them were folded before they went missing", "accept", "--yes")
	s.startProjector(t)
	s.waitProjected(t)
	_, status := s.run(t, "rollback")
	now, err := export.NewReader(s.pool).Meta(t.Context(), uuid(t, someone))
	if err != nil {
		t.Fatal(err)
	}
	if now.Position < had.Position {
		t.Errorf("rollback: exit %d, and account %s goes back from %d to %d", status, someone, had.Position, now.Position)
	}
}

// TestOwedWithoutEntry: an entry is taken off the ledger while `accept` is
// about to note what it will do: what is owed has no entry any more. The next
// `accept` erases nobody's account, and never ends it.
func TestOwedWithoutEntry(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	s.erase(t, another, 0, nothingLeft)
	projector.stop(t)
	if err := admin.BeginErasure(t.Context(), s.pool, uuid(t, someone), []string{addressOf(someone)}, true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.checkRun(t, 0, "", "accept")
		s.run(t, "accept", "--yes")
	}
}
