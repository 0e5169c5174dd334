package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// TestLossOnItsWayIsAsked: 18 says that `projector rebuild` cuts over only where no
// document would change. While `run` refuses, the live generation stands still, and
// whoever has new messages is "on its way": the document that lost an item is cut
// over to, without --accept-differences.
func TestLossOnItsWayIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, another, 3)
	s.marked(t, someone, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	var last uint64
	if err := s.client.ReadAccount(t.Context(), uuid(t, someone), 0, func(m projections.Message) error {
		last = m.Position
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.deleteMessage(t, last-1)
	if status := projector.wait(); status != 18 {
		t.Fatalf("exit %d", status)
	}
	for i := range 2 {
		m, err := events.NewSandboxCreated(events.Meta{ID: fmt.Sprint("more", i), Source: "/test", Time: events.TimeOf(time.Now())}, uuid(t, []string{someone, another}[i]),
			events.SandboxCreated{ID: fmt.Sprint("more", i), Template: "x"})
		if err == nil {
			_, err = s.client.PublishRaw(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.says(t, 18, "cuts over only where no document would change", "run")
	out, status := command(t, "projector", s.settings, "rebuild")
	t.Logf("rebuild: exit %d: %s", status, out)
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
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.publishSome(t)
	s.erase(t, someone, 0, nothingLeft)
	s.marked(t, someone, 3)
	s.stray(t, someone)
	s.publishSome(t)
	restore := s.backUp(t)
	s.inTheEndErased(t, someone)
	s.noTraces(t)
	s.publishSome(t)
	restore()
	if status := projector.wait(); status != 13 {
		t.Fatalf("exit %d", status)
	}
	out, status := command(t, "projector", s.settings, "rebuild", "--accept-differences")
	t.Logf("rebuild: exit %d: %s", status, out)
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "", "status")
	s.says(t, 0, "nothing to accept", "accept")
	s.noTraces(t)
}

// TestSecondErasureAndRestoredDatabase: an account is erased, a stray of it
// comes and it is erased again. The database is restored from in between, and the
// ledger imported: the entry is there already, so nothing is owed, and the stray
// stays in the tables.
func TestSecondErasureAndRestoredDatabase(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, someone, 0, nothingLeft)
	s.stray(t, someone)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	backup := s.dump(t)
	s.erase(t, someone, 0, nothingLeft)
	s.noTraces(t)
	ledger := s.ledgerFile(t, someone)
	projector.signal(syscall.SIGKILL)
	projector.wait()
	s.undump(t, backup)
	s.says(t, 0, "", "provision")
	s.says(t, 0, "", "erasures", "import", ledger)
	out, status := command(t, "projector", s.settings, "status")
	t.Logf("status: exit %d: %.300s", status, out)
	out, status = command(t, "projector", s.settings, "accept", "--yes")
	t.Logf("accept --yes: exit %d: %s", status, out)
	s.runs(t)
	s.noTraces(t)
}
