package e2e

import (
	"strings"
	"syscall"
	"testing"

	"accountexport/projections"
)

// TestLossOnItsWayIsAsked: 18 says that `projector rebuild` cuts over only where no
// document would change. While `run` refuses, the live generation stands still, and
// whoever has new messages is "on its way": the document that lost an item is cut
// over to, without --accept-differences.
func TestLossOnItsWayIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, another, 3)
	s.publishMarked(t, someone, 5)
	s.waitProjected(t)
	var last uint64
	if err := s.client.ReadAccount(t.Context(), uuid(t, someone), 0, func(m projections.Message) error {
		last = m.Position
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.deleteMessage(t, last-1)
	projector.mustExit(t, 18)
	s.publishSandbox(t, someone, "more0")
	s.publishSandbox(t, another, "more1")
	s.mustRun(t, 18, "cuts over only where no document would change", "run")
	out, status := s.run(t, "rebuild")
	if status == 0 || strings.Contains(out, "is live") {
		t.Errorf("it was cut over to, and a sandbox of %s is gone: exit %d", someone, status)
	}
}

// TestLateMessagesRestored: an account is erased, late messages and a stray
// of it come, and it is erased again. The stream is restored from in between: what
// the second erasure has proven to be gone is back, and nobody says so.
func TestLateMessagesRestored(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishAndWait(t)
	s.erase(t, someone, 0, nothingLeft)
	s.publishMarked(t, someone, 3)
	s.publishStray(t, someone)
	s.publishAndWait(t)
	restore := s.backUpNATS(t)
	s.eraseEventually(t, someone)
	s.checkNoTraces(t)
	s.publishAndWait(t)
	restore()
	projector.mustExit(t, 13)
	s.run(t, "rebuild", "--accept-differences")
	s.startProjector(t)
	s.waitProjected(t)
	s.mustRun(t, 0, "", "status")
	s.mustRun(t, 0, "nothing to accept", "accept")
	s.checkNoTraces(t)
}

// TestSecondErasureAndRestoredDatabase: an account is erased, a stray of it
// comes and it is erased again. The database is restored from in between, and the
// ledger imported: the entry is there already, so nothing is owed, and the stray
// stays in the tables.
func TestSecondErasureAndRestoredDatabase(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.waitProjected(t)
	s.erase(t, someone, 0, nothingLeft)
	s.publishStray(t, someone)
	s.waitProjected(t)
	backup := s.dumpDatabase(t)
	s.erase(t, someone, 0, nothingLeft)
	s.checkNoTraces(t)
	ledger := s.ledgerExport(t, someone)
	projector.signal(syscall.SIGKILL)
	projector.wait()
	s.restoreDump(t, backup)
	s.mustRun(t, 0, "", "provision")
	s.mustRun(t, 0, "", "erasures", "import", ledger)
	s.run(t, "status")
	s.run(t, "accept", "--yes")
	s.startHealthy(t)
	s.checkNoTraces(t)
}
