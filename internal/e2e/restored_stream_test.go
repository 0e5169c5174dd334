package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestErasureOutlivesTheStream: a stream is restored from before an erasure, and the refusal's
// advice is followed. The account is erased anew in that stream before the cut-over, and nothing of
// it is left.
func TestErasureOutlivesTheStream(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	answer := s.serveSomeone(t)
	s.publishComplete(t, uuid(t, someone))
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.mustPublish(t, workload.New(63, workload.Config{Accounts: 10}), 300)
	s.waitProjected(t)
	restore := s.backUpNATS(t)
	if status := answer(); status != http.StatusOK {
		t.Fatalf("before: status %d", status)
	}
	s.eraseEventually(t, someone)
	if status := answer(); status != http.StatusGone {
		t.Fatalf("erased: status %d", status)
	}
	restore()
	projector.mustExit(t, 13)
	s.mustRun(t, 13, "ends before the checkpoint", "status")
	s.mustRun(t, 13, "cannot be accepted", "accept", "--yes")
	s.mustRun(t, 0, "1 erasures were carried out anew", "rebuild", "--accept-differences")
	s.startProjector(t)
	s.waitProjected(t)
	if status := answer(); status != http.StatusGone {
		t.Errorf("restored: status %d", status)
	}
	s.checkNoTraces(t)
	s.checkErased(t, someone)
	s.mustRun(t, 0, "", "status")
	s.mustRun(t, 0, "nothing to accept", "accept")
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
}

// TestStreamThatLacksAnErasureIsRefused: the stream lacks an erasure that is on the ledger, and
// nothing else is wrong with it. `run` and `status` refuse, and `accept` carries the erasure out
// anew.
func TestStreamThatLacksAnErasureIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	answer := s.serveSomeone(t)
	s.publishComplete(t, uuid(t, someone))
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.publishMarked(t, another, 2)
	s.waitProjected(t)
	if status := answer(); status != http.StatusOK {
		t.Fatalf("before: status %d", status)
	}
	projector.stop(t)
	s.importErasure(t, someone)
	before := s.documents(t)
	info := s.info(t)
	for _, command := range []string{"run", "status"} {
		s.mustRun(t, 17, "account "+someone+" was erased at 2026-03-25T07:11:48Z", command)
	}
	s.mustRun(t, 1, "account "+someone+", erased 2026-03-25", "accept")
	s.checkStreamUnchanged(t, info)
	if s.documents(t) != before {
		t.Error("documents were changed")
	}
	s.mustRun(t, 0, "1 erasures were carried out anew", "accept", "--yes")
	if status := answer(); status != http.StatusGone {
		t.Errorf("accepted: status %d", status)
	}
	s.checkErased(t, someone)
	s.startProjector(t)
	s.waitProjected(t)
	s.checkErased(t, someone)
	s.mustRun(t, 0, "", "status")
	s.mustRun(t, 0, "nothing to accept", "accept")
	s.erase(t, another, 0, nothingLeft)
	s.checkNoTraces(t)
	s.mustRun(t, 0, "2026-03-25T07:11:48Z", "erasures", "list")
	s.mustRun(t, 0, "is live", "rebuild")
	s.waitProjected(t)
	s.checkErased(t, someone)
	s.checkAgainstOracle(t)
}

// TestErasuresAreComparedAfterAReconnect: a NATS server that comes back may have another stream
// than before, so the ledger is compared with it again.
func TestErasuresAreComparedAfterAReconnect(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	if _, err := s.pool.Exec(t.Context(), `
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created) VALUES ($1, now(), 2, 'CONTROL_PLANE', now())`, someone); err != nil {
		t.Fatal(err)
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, out := projector.wait(), projector.out.tail(1<<16); status != 17 || !strings.Contains(out, "projector accept") {
		t.Errorf("exit %d: %s", status, out)
	}
}

// TestRestoredFromTheMiddle: the stream was backed up in the middle of an erasure, after its event
// was published. The restored stream holds the account's messages, and the advised rebuild erases
// it anew.
func TestRestoredFromTheMiddle(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.waitProjected(t)
	s.publishErased(t, someone)
	s.waitProjected(t)
	kept := s.readMessages(t)
	s.erase(t, someone, 0, nothingLeft)
	s.checkNoTraces(t)
	projector.stop(t)
	s.recreateWith(t, kept)
	s.mustRun(t, 12, "projector accept", "run")
	s.mustRun(t, 0, "carried out anew", "rebuild", "--accept-differences")
	s.startProjector(t)
	s.waitProjected(t)
	s.mustRun(t, 0, "", "status")
	s.checkNoTraces(t)
}

// TestErasedAnewBeforeItWasFolded: an erasure is carried out anew that removes the stream's
// beginning up to beyond the checkpoint. That is not reported as a loss.
func TestErasedAnewBeforeItWasFolded(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.waitProjected(t)
	projector.stop(t)
	s.publishMarked(t, someone, 50)
	s.publishMarked(t, another, 5)
	s.importErasure(t, someone)
	s.mustRun(t, 17, someone, "run")
	s.mustRun(t, 0, "carried out anew", "accept", "--yes")
	if out, status := command(t, "projector", s.settings, "status"); status >= 10 {
		t.Errorf("status: exit %d: %s", status, out)
	}
	s.startProjector(t)
	s.waitProjected(t)
	s.mustRun(t, 0, "", "status")
	s.mustRun(t, 0, " 0 have changed", "refold", "--account", another)
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
}

// TestLateMessagesRestored: an account is erased twice, since late messages came in between, and
// the stream is restored to before the second erasure. The advised rebuild removes those messages
// again.
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

// TestErasedDoesNotReturnByACutOver: another stream holds the messages from before an erasure. The
// rebuild says that the account would return, and the cut-over erases it in the new stream before
// it goes live.
func TestErasedDoesNotReturnByACutOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	before := s.readMessages(t)
	s.erase(t, someone, 0, nothingLeft)
	projector.stop(t)
	s.recreateWith(t, before)
	s.mustRun(t, 0, "1 that are erased and are not so in generation 2 are erased in it anew", "rebuild", "--cutover=manual")
	s.mustRun(t, 0, "1 erasures were carried out anew", "cutover")
	s.checkErased(t, someone)
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
}

// TestAcceptOfWhoGoesOn: an account on the imported ledger continues to publish messages. `accept`
// succeeds all the same after a few attempts at most.
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
