package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestErasureOutlivesTheStream: a stream is restored from before an erasure, and
// the refusal's advice is followed: the account is erased in it anew, before it
// is cut over to, and nothing of it is left.
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

// TestStreamThatLacksAnErasureIsRefused: where nothing else is wrong with a
// stream that was restored from before an erasure, since the database was, too,
// and the ledger imported, `run` and `status` refuse, and `accept` erases anew.
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

// TestErasuresAreComparedAfterAReconnect: a server that comes back may hold
// another stream than before, so the ledger is compared again.
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

// TestDatabaseRestored follows the README after a database was restored from
// before an erasure: nothing is served that was erased, by then or on the way,
// and nothing is left in any generation.
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
	backup := s.dumpDatabase(t)
	s.erase(t, someone, 0, nothingLeft)
	s.checkNoTraces(t)
	ledger := s.ledgerExport(t, someone)
	projector.kill()
	s.restoreDump(t, backup)
	s.mustRun(t, 0, "", "provision")
	s.mustRun(t, 0, "", "erasures", "import", ledger)
	// It knows nothing of what was removed since, either.
	s.mustRun(t, 18, "import the newest export of the ledger first", "run")
	s.mustRun(t, 18, "1 accounts on the ledger of erasures are served still", "status")
	out := s.mustRun(t, 1, "projector accept --yes", "accept")
	checkContains(t, out, "has lost", "were folded before", "Accepting erases them anew", "account "+someone+" is served")
	s.mustRun(t, 0, "carried out anew", "accept", "--yes")
	s.startHealthy(t)
	s.checkNoTraces(t)
}

// TestRestoredFromTheMiddle: the stream was backed up in the middle of an
// erasure, after the event was published; what is restored holds the account's
// messages still.
func TestRestoredFromTheMiddle(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.waitProjected(t)
	if _, err := s.client.PublishErased(t.Context(), uuid(t, someone), time.Now()); err != nil {
		t.Fatal(err)
	}
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

// TestCopiesOfWhatIsErasedAnew: a copy of the stream keeps what is erased anew,
// which `accept` names and ends with 1; a receipt of an erasure that leaves a copy
// is none.
func TestCopiesOfWhatIsErasedAnew(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	s.createMirror(t, "MIRROR")
	s.erase(t, another, 1, "KEEPS")
	if out := s.mustRun(t, 0, another, "erasures", "list"); strings.Contains(out, "sha256:") {
		t.Errorf("a receipt is noted: %s", out)
	}
	projector.stop(t)
	s.importErasure(t, someone)
	s.mustRun(t, 1, "--purge-copies MIRROR", "accept", "--yes")
	s.mustRun(t, 0, "nothing to accept", "accept", "--yes")
	s.startProjector(t)
	s.waitProjected(t)
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.erase(t, another, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.mustRun(t, 0, "sha256:", "erasures", "list")
}

// TestErasedAnewBeforeItWasFolded: what is erased anew is the stream's beginning,
// and the checkpoint is in the middle of it; nothing is lost by that, and nobody
// says so.
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
