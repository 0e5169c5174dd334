package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
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
	projector := launch(t, "projector", s.settings, "run")
	g := workload.New(71, workload.Config{Accounts: 20})
	if err := s.publish(t.Context(), g, 500, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	if _, err := s.pool.Exec(t.Context(), `TRUNCATE export.missing, export.removals`); err != nil {
		t.Fatal(err)
	}
	if err := s.publish(t.Context(), g, 500, 0); err != nil {
		t.Fatal(err)
	}
	info, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	purge(t, jetStream(t, s.nats.URL()), info.Last-200)
	s.says(t, 14, "begins after the checkpoint", "run")
	out, status := command(t, "projector", s.settings, "rebuild")
	t.Logf("rebuild: exit %d: %s", status, out)
	out, status = command(t, "projector", s.settings, "status")
	t.Logf("status: exit %d: %.400s", status, out)
	if status != 14 {
		t.Errorf("status: exit %d, want 14", status)
	}
	running := launch(t, "projector", s.settings, "run")
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
	projector := launch(t, "projector", s.settings, "run")
	g := workload.New(72, workload.Config{Accounts: 20})
	if err := s.publish(t.Context(), g, 300, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	before, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.publish(t.Context(), g, 300, 0); err != nil {
		t.Fatal(err)
	}
	purge(t, jetStream(t, s.nats.URL()), before.Last+11)
	lost := before.Last + 100
	s.deleteMessage(t, lost)
	s.says(t, 14, "begins after the checkpoint", "run")
	out, status := command(t, "projector", s.settings, "accept")
	t.Logf("accept: exit %d: %s", status, out)
	told := strings.Contains(out, fmt.Sprint(lost))
	out, status = command(t, "projector", s.settings, "accept", "--yes")
	t.Logf("accept --yes: exit %d: %s", status, out)
	told = told || strings.Contains(out, fmt.Sprint(lost))
	out, status = command(t, "projector", s.settings, "status")
	if status != 18 && !told {
		t.Errorf("message %d was lost unread, and nobody says so: status: exit %d: %.300s", lost, status, out)
	}
}

// TestAcceptOfWhoGoesOn: one account of the imported ledger goes on having
// messages. accept never ends it, and nothing of anybody is projected.
func TestAcceptOfWhoGoesOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.publishSome(t)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.importLedger(t, someone, "2026-03-25T07:11:48Z")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			s.marked(t, someone, 2)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	defer func() { stop(); <-done }()
	for i := range 5 {
		out, status := command(t, "projector", s.settings, "accept", "--yes")
		t.Logf("accept --yes: exit %d: %s", status, out)
		if status == 0 {
			return
		}
		if i == 4 {
			out, status = command(t, "projector", s.settings, "run")
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
		projector := launch(t, "projector", s.settings, "run")
		s.marked(t, someone, 5)
		s.marked(t, another, 2)
		s.stray(t, someone)
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		s.erase(t, someone, 0, nothingLeft)
		ledger := s.ledgerFile(t, someone)
		projector.kill()
		s.database = postgres.TestDatabase(t)
		s.settings["DATABASE_URL"] = s.database
		s.says(t, 0, "", "provision")
		s.says(t, 0, "", "erasures", "import", ledger)
		out, status := command(t, "projector", s.settings, first)
		t.Logf("%s: exit %d: %s", first, status, out)
		if first != "run" {
			running := launch(t, "projector", s.settings, "run")
			status := running.wait()
			t.Logf("run: exit %d: %s", status, running.out.tail(900))
		}
		out, status = command(t, "projector", s.settings, "accept")
		t.Logf("accept: exit %d: %s", status, out)
		out, status = command(t, "projector", s.settings, "accept", "--yes")
		t.Logf("accept --yes: exit %d: %s", status, out)
		if status != 0 {
			t.Errorf("after %s: accept ends with %d", first, status)
		}
		p := launch(t, "projector", s.settings, "run")
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
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, another, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.marked(t, someone, 5)
	s.deleteMessage(t, 4) // that someone is registered
	s.says(t, 18, "at positions 4", "run")
	out, status := command(t, "projector", s.settings, "rebuild")
	t.Logf("rebuild: exit %d: %s", status, out)
	if _, after := command(t, "projector", s.settings, "status"); after != 18 {
		t.Errorf("a plain rebuild ends with %d, and the loss is accepted: status ends with %d", status, after)
	}
}

// TestLostBeginningIsAsked: the same where the stream begins after the
// checkpoint (14), and what was served was folded from what is gone.
func TestLostBeginningIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	had := s.documents(t)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.marked(t, someone, 5)
	purge(t, jetStream(t, s.nats.URL()), 8)
	s.says(t, 14, "begins after the checkpoint", "run")
	out, status := command(t, "projector", s.settings, "rebuild")
	t.Logf("rebuild: exit %d: %s", status, out)
	if status == 0 {
		t.Errorf("what was served is gone, unasked: %d bytes were stored, and now %d", len(had), len(s.documents(t)))
	}
}
