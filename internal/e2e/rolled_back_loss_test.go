package e2e

import (
	"syscall"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// TestRollBackOverALossIsRefused: a message that the live generation has folded is
// lost, and accepted. Rolling back to a generation that has not read it makes it
// live without it, unasked.
func TestRollBackOverALossIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "is live", "rebuild")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	sandbox := func(id string) uint64 {
		t.Helper()
		m, err := events.NewSandboxCreated(events.Meta{ID: id, Source: "/test", Time: events.TimeOf(time.Now())}, uuid(t, someone),
			events.SandboxCreated{ID: id, Template: "x"})
		if err != nil {
			t.Fatal(err)
		}
		at, err := s.client.PublishRaw(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	at := sandbox("lost")
	s.publishSome(t)
	had, err := export.NewReader(s.pool).Meta(t.Context(), uuid(t, someone))
	if err != nil {
		t.Fatal(err)
	}
	s.deleteMessage(t, at)
	if status := projector.wait(); status != 18 {
		t.Fatalf("exit %d", status)
	}
	s.says(t, 1, "would take from people", "rollback")
	s.says(t, 0, "Documents stay as they are: all of them were folded before they went missing", "accept", "--yes")
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	out, status := command(t, "projector", s.settings, "rollback")
	t.Logf("rollback: exit %d: %s", status, out)
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
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	s.marked(t, another, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, another, 0, nothingLeft)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	if err := admin.BeginErasure(t.Context(), s.pool, uuid(t, someone), []string{addressOf(someone)}, true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out, status := command(t, "projector", s.settings, "accept")
		t.Logf("accept: exit %d: %s", status, out)
		if status != 0 {
			t.Errorf("accept: exit %d: %.200s", status, out)
		}
		out, status = command(t, "projector", s.settings, "accept", "--yes")
		t.Logf("accept --yes: exit %d: %s", status, out)
	}
}
