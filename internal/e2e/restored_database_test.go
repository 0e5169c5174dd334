package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
)

// TestDatabaseRestored follows doc/operating.md after the database was restored to before an
// erasure. No erased account is served at any time, and nothing of it is left in any generation.
func TestDatabaseRestored(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, another, 2)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.waitProjected(t)
	s.erase(t, another, 0, nothingLeft)
	s.mustRun(t, 0, "is live", "rebuild")
	s.waitProjected(t)
	s.mustRun(t, 0, "0 differ", "verify", "--account", someone) // which is a line of the audit
	backup := s.dumpDatabase(t)
	s.erase(t, someone, 0, nothingLeft)
	s.checkNoTraces(t)
	ledger := s.ledgerExport(t, someone)
	projector.kill()
	s.restoreDump(t, backup)
	s.mustRun(t, 0, "", "provision")
	s.mustRun(t, 0, "", "erasures", "import", ledger)
	// The restored database does not know of the messages that were removed since.
	s.mustRun(t, 18, "import the newest export of the ledger first", "run")
	s.mustRun(t, 18, "1 accounts on the ledger of erasures are served still", "status")
	out := s.mustRun(t, 1, "projector accept --yes", "accept")
	checkContains(t, out, "has lost", "were folded before", "Accepting erases them anew", "account "+someone+" is served")
	s.mustRun(t, 0, "carried out anew", "accept", "--yes")
	s.startHealthy(t)
	s.checkNoTraces(t)
}

// TestSecondErasureAndRestoredDatabase: an account is erased twice, since a message on a mistyped
// subject came in between, and the database is restored to before the second erasure. Importing the
// ledger and accepting removes that message from the tables, although the ledger had the account's
// entry already.
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

// TestNewDatabaseAndItsLedger: the database was lost. A new one is provisioned, the ledger
// imported, and what the refusals advise is done. Then the projector runs, whichever command came
// first.
func TestNewDatabaseAndItsLedger(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"run", "status", "accept"} {
		s := newSystem(t)
		projector := s.startProjector(t)
		s.publishMarked(t, someone, 5)
		s.publishMarked(t, another, 2)
		s.publishStray(t, someone)
		s.waitProjected(t)
		s.erase(t, someone, 0, nothingLeft)
		ledger := s.ledgerExport(t, someone)
		projector.kill()
		s.database = postgres.TestDatabase(t)
		s.settings["DATABASE_URL"] = s.database
		s.mustRun(t, 0, "", "provision")
		s.mustRun(t, 0, "", "erasures", "import", ledger)
		s.run(t, first)
		if first != "run" {
			s.run(t, "run")
		}
		s.run(t, "accept")
		_, status := s.run(t, "accept", "--yes")
		if status != 0 {
			t.Errorf("after %s: accept ends with %d", first, status)
		}
		p := s.startProjector(t)
		eventually(t, "status to exit 0", 30*time.Second, func(context.Context) error {
			if out, status := command(t, "projector", s.settings, "status"); status != 0 {
				return fmt.Errorf("exit %d: %s; run: %s", status, out, p.out.tail(500))
			}
			return nil
		})
	}
}
