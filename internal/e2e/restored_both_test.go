package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestBothRestored: stream and database are both restored from a moment before an
// erasure, as doc/operating.md says. With an export of the ledger the erasure is known,
// and nobody is served before it is carried out anew. Without one nobody can know
// of it: nothing is refused, and the account is served as it was, until it is
// erased again.
func TestBothRestored(t *testing.T) {
	t.Parallel()
	t.Run("with an export of the ledger", func(t *testing.T) {
		t.Parallel()
		s, _, ledger := bothRestored(t)
		s.says(t, 0, "", "provision")
		s.says(t, 0, "1 of them were not", "erasures", "import", ledger)
		s.says(t, 17, "`projector accept`", "run")
		s.says(t, 0, "1 erasures were carried out anew", "accept", "--yes")
		s.runs(t)
		if status := s.answers(t)(); status != http.StatusGone {
			t.Errorf("status %d, want 410", status)
		}
		s.mustBeErased(t, someone)
		s.noTraces(t)
		s.says(t, 0, "is live", "rebuild")
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		s.mustBeErased(t, someone)
		s.verify(t)
	})
	t.Run("without one", func(t *testing.T) {
		t.Parallel()
		s, before, _ := bothRestored(t)
		s.says(t, 0, "", "provision")
		s.says(t, 0, "nothing to accept", "accept", "--yes")
		s.runs(t)
		answer := s.answers(t)
		if status := answer(); status != http.StatusOK {
			t.Errorf("status %d, want 200: nobody can know that the account was erased", status)
		}
		if now := s.documents(t); now != before {
			t.Errorf("the documents are %s, and were %s", now, before)
		}
		if out := s.says(t, 0, "", "erasures", "list"); strings.Contains(out, someone) {
			t.Errorf("the ledger knows of it: %s", out)
		}
		s.says(t, 0, " 0 differ", "verify", "--all")
		s.erase(t, someone, 0, nothingLeft)
		if status := answer(); status != http.StatusGone {
			t.Errorf("erased again: status %d, want 410", status)
		}
		s.mustBeErased(t, someone)
		s.noTraces(t)
		s.says(t, 0, "is live", "rebuild")
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		s.mustBeErased(t, someone)
		s.verify(t)
	})
}

// bothRestored backs database and stream up, erases someone, and restores both,
// while nothing runs. It gives the documents of before, and an export of the ledger
// of after the erasure.
func bothRestored(t *testing.T) (s *system, before, ledger string) {
	t.Helper()
	s = newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.makeSomeone(t, uuid(t, someone))
	s.marked(t, someone, 5)
	s.stray(t, someone)
	if err := s.publish(t.Context(), workload.New(64, workload.Config{Accounts: 10}), 300, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before = s.documents(t)
	dump := s.dump(t)
	restore := s.backUp(t)
	s.inTheEndErased(t, someone)
	s.noTraces(t)
	ledger = s.ledgerFile(t, someone)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	restore()
	s.undump(t, dump)
	return s, before, ledger
}
