package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
	"accountexport/internal/workload"
)

// TestRefusedRebuildTakesOnNoLoss: a database that was just migrated, and a stream
// that has lost its beginning past the checkpoint. `run` refuses; a rebuild that is
// refused takes on what is missing, and from then on `run` goes over the loss.
func TestRefusedRebuildTakesOnNoLoss(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	g := workload.New(71, workload.Config{Accounts: 20})
	s.mustPublish(t, g, 500)
	s.waitProjected(t)
	projector.stop(t)
	if _, err := s.pool.Exec(t.Context(), `TRUNCATE export.missing, export.removals`); err != nil {
		t.Fatal(err)
	}
	s.mustPublish(t, g, 500)
	info := s.info(t)
	s.purge(t, info.Last-200)
	s.mustRun(t, 14, "begins after the checkpoint", "run")
	s.run(t, "rebuild")
	s.checkRun(t, 14, "", "status")
	running := s.startProjector(t)
	caught := false
	eventually(t, "run to end, or to go over the loss", time.Minute, func(ctx context.Context) error {
		if len(running.done) > 0 {
			return nil
		}
		if err := s.caughtUp(ctx); err != nil {
			return err
		}
		caught = true
		return nil
	})
	if caught {
		t.Errorf("run has gone over what was lost: %s", running.out.tail(600))
	}
}

// TestLossHidesNoLoss: who accepts that the beginning is gone accepts, and
// is not told, that a message in the middle is gone that nobody has read.
func TestLossHidesNoLoss(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	g := workload.New(72, workload.Config{Accounts: 20})
	s.mustPublish(t, g, 300)
	s.waitProjected(t)
	projector.stop(t)
	before := s.info(t)
	s.mustPublish(t, g, 300)
	s.purge(t, before.Last+11)
	lost := before.Last + 100
	s.deleteMessage(t, lost)
	s.mustRun(t, 14, "begins after the checkpoint", "run")
	asked, _ := s.run(t, "accept")
	done, _ := s.run(t, "accept", "--yes")
	named := strings.Contains(asked+done, fmt.Sprint(lost))
	if out, status := command(t, "projector", s.settings, "status"); status != 18 && !named {
		t.Errorf("message %d was lost unread, and nobody says so: status: exit %d: %.300s", lost, status, out)
	}
}

// TestAcceptOfWhoGoesOn: one account of the imported ledger goes on having
// messages. accept never ends it, and nothing of anybody is projected.
func TestAcceptOfWhoGoesOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishAndWait(t)
	s.waitProjected(t)
	projector.stop(t)
	s.importErasure(t, someone)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			s.publishMarked(t, someone, 2)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	defer func() { stop(); <-done }()
	for i := range 5 {
		if _, status := s.run(t, "accept", "--yes"); status == 0 {
			return
		}
		if i == 4 {
			out, status := command(t, "projector", s.settings, "run")
			t.Errorf("after five times run ends with %d: %s", status, out)
		}
	}
}

// TestNewDatabaseAndItsLedger: the database was lost with all that was in it. A new one
// is provisioned, the ledger imported, and what refusals name first is done.
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

// TestLostUnreadIsAsked: a message was lost that nobody has read, and `run`
// refuses with 18. A plain rebuild, which nobody has told to accept anything, takes
// it for lost: whom it was of is "on their way".
func TestLostUnreadIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	projector.stop(t)
	s.publishMarked(t, someone, 5)
	s.deleteMessage(t, 4) // that someone is registered
	s.mustRun(t, 18, "at positions 4", "run")
	_, status := s.run(t, "rebuild")
	if _, after := command(t, "projector", s.settings, "status"); after != 18 {
		t.Errorf("a plain rebuild ends with %d, and the loss is accepted: status ends with %d", status, after)
	}
}

// TestLostBeginningIsAsked: the same where the stream begins after the
// checkpoint (14), and what was served was folded from what is gone.
func TestLostBeginningIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.waitProjected(t)
	had := s.documents(t)
	projector.stop(t)
	s.publishMarked(t, someone, 5)
	s.purge(t, 8)
	s.mustRun(t, 14, "begins after the checkpoint", "run")
	if _, status := s.run(t, "rebuild"); status == 0 {
		t.Errorf("what was served is gone, unasked: %d bytes were stored, and now %d", len(had), len(s.documents(t)))
	}
}
