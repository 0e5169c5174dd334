package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel/export"
)

// TestRefusedRebuildTakesOnNoLoss: nothing is known of missing messages, as right after a
// migration, and the stream has lost its beginning beyond the checkpoint. A rebuild that is refused
// does not record that loss as known: `run` still refuses.
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

// TestLossHidesNoLoss: the stream lost its beginning and, later on, another message that was not
// read yet. Accepting the one names the other, or `status` refuses because of it.
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

// TestLostUnreadIsAsked: a message was lost that was not read yet, and `run` refuses with 18. A
// rebuild that was not told to accept anything does not accept the loss: `status` still refuses.
func TestLostUnreadIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	projector.stop(t)
	s.publishMarked(t, someone, 5)
	s.deleteMessage(t, 4) // the registration of someone
	s.mustRun(t, 18, "at positions 4", "run")
	_, status := s.run(t, "rebuild")
	if _, after := command(t, "projector", s.settings, "status"); after != 18 {
		t.Errorf("a plain rebuild ends with %d, and the loss is accepted: status ends with %d", status, after)
	}
}

// TestLostBeginningIsAsked: the stream begins after the checkpoint, and `run` refuses with 14. A
// rebuild that was not told to accept anything does not replace the documents of what was lost.
func TestLostBeginningIsAsked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.waitProjected(t)
	before := s.documents(t)
	projector.stop(t)
	s.publishMarked(t, someone, 5)
	s.purge(t, 8)
	s.mustRun(t, 14, "begins after the checkpoint", "run")
	if _, status := s.run(t, "rebuild"); status == 0 {
		t.Errorf("what was served is gone, unasked: %d bytes were stored, and now %d", len(before), len(s.documents(t)))
	}
}

// TestLossOnItsWayIsAsked: a message that was folded is lost, and its account has new messages
// since, which nobody folds while `run` refuses. That its document differs is not explained by the
// new messages: a plain rebuild does not cut over.
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

// TestReplacedEndOnItsWayIsAsked: the stream's end was replaced, and `run` refuses with 16.
// Differences are not explained by messages that are yet to be folded: a plain rebuild does not cut
// over.
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

// TestRollBackOverALossIsRefused: a message of the live generation was lost and accepted. A
// rollback to a generation that has not read it is refused, and no document goes back.
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
	before, err := export.NewReader(s.pool).Meta(t.Context(), uuid(t, someone))
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
	if now.Position < before.Position {
		t.Errorf("rollback: exit %d, and account %s goes back from %d to %d", status, someone, before.Position, now.Position)
	}
}
