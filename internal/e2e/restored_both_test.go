package e2e

import (
	"net/http"
	"strings"
	"testing"

	"accountexport/internal/workload"
)

// TestBothRestored: stream and database are both restored to a moment before an erasure, as
// doc/operating.md says. With an export of the ledger, the erasure is carried out anew before
// anybody is served. Without one nobody can know of it: nothing is refused, and the account is
// served until it is erased again.
func TestBothRestored(t *testing.T) {
	t.Parallel()
	t.Run("with an export of the ledger", func(t *testing.T) {
		t.Parallel()
		s, _, ledger := bothRestored(t)
		s.mustRun(t, 0, "", "provision")
		s.mustRun(t, 0, "1 of them were not", "erasures", "import", ledger)
		s.mustRun(t, 17, "`projector accept`", "run")
		s.mustRun(t, 0, "1 erasures were carried out anew", "accept", "--yes")
		s.startHealthy(t)
		if status := s.serveSomeone(t)(); status != http.StatusGone {
			t.Errorf("status %d, want 410", status)
		}
		s.checkErased(t, someone)
		s.checkNoTraces(t)
		s.mustRun(t, 0, "is live", "rebuild")
		s.waitProjected(t)
		s.checkErased(t, someone)
		s.checkAgainstOracle(t)
	})
	t.Run("without one", func(t *testing.T) {
		t.Parallel()
		s, before, _ := bothRestored(t)
		s.mustRun(t, 0, "", "provision")
		s.mustRun(t, 0, "nothing to accept", "accept", "--yes")
		s.startHealthy(t)
		answer := s.serveSomeone(t)
		if status := answer(); status != http.StatusOK {
			t.Errorf("status %d, want 200: nobody can know that the account was erased", status)
		}
		if now := s.documents(t); now != before {
			t.Errorf("the documents are %s, and were %s", now, before)
		}
		if out := s.mustRun(t, 0, "", "erasures", "list"); strings.Contains(out, someone) {
			t.Errorf("the ledger knows of it: %s", out)
		}
		s.mustRun(t, 0, " 0 differ", "verify", "--all")
		s.erase(t, someone, 0, nothingLeft)
		if status := answer(); status != http.StatusGone {
			t.Errorf("erased again: status %d, want 410", status)
		}
		s.checkErased(t, someone)
		s.checkNoTraces(t)
		s.mustRun(t, 0, "is live", "rebuild")
		s.waitProjected(t)
		s.checkErased(t, someone)
		s.checkAgainstOracle(t)
	})
}

// bothRestored backs up database and stream, erases someone, and restores both while nothing runs.
// It returns the documents from before, and an export of the ledger from after the erasure.
func bothRestored(t *testing.T) (s *system, before, ledger string) {
	t.Helper()
	s = newSystem(t)
	projector := s.startProjector(t)
	s.publishComplete(t, uuid(t, someone))
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.mustPublish(t, workload.New(64, workload.Config{Accounts: 10}), 300)
	s.waitProjected(t)
	before = s.documents(t)
	dump := s.dumpDatabase(t)
	restore := s.backUpNATS(t)
	s.eraseEventually(t, someone)
	s.checkNoTraces(t)
	ledger = s.ledgerExport(t, someone)
	projector.stop(t)
	restore()
	s.restoreDump(t, dump)
	return s, before, ledger
}
