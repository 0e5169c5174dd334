package e2e

import (
	"strings"
	"testing"
	"time"

	"accountexport/readmodel/admin"
)

// TestMistakenEntryIsTakenBack: an account that is served is on the ledger by mistake. The refusal
// says so before anything is erased, and names the command that takes the entry off. An account
// that was erased stays on the ledger.
func TestMistakenEntryIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishRegistered(t, someone, "real")
	s.publishRegistered(t, another, "other")
	s.waitProjected(t)
	s.erase(t, another, 0, nothingLeft)
	projector.stop(t)
	rows := s.storedRows(t)
	s.importErasure(t, someone)
	s.mustRun(t, 17, "`projector erasures remove --account "+someone+"`", "run")
	for _, args := range [][]string{{"refold", "--account", someone}, {"parked", "retry", "--account", someone}, {"verify", "--account", someone}, {"verify", "--all"}} {
		s.mustRun(t, 17, "account "+someone+" was erased at", args...)
	}
	s.mustRun(t, 1, "account "+someone+" is served", "accept")
	s.mustRun(t, 0, "no longer on the ledger", "erasures", "remove", "--account", someone)
	s.mustRun(t, 1, "is not on the ledger", "erasures", "remove", "--account", someone)
	s.mustRun(t, 1, "and it stays on the ledger", "erasures", "remove", "--account", another)
	s.mustRun(t, 0, another, "erasures", "list")
	s.mustRun(t, 0, "", "status")
	s.mustRun(t, 0, "0 have changed", "refold", "--account", someone)
	s.mustRun(t, 0, "nothing to accept", "accept", "--yes")
	if now := s.storedRows(t); now != rows {
		t.Error("something else is stored")
	}
}

// TestRebuildOfAnotherStreamErasesNobody: a rebuild that reads another deployment's stream by
// mistake is refused, and does not enter that stream's erasures into the ledger. When its result is
// accepted, they are entered.
func TestRebuildOfAnotherStreamErasesNobody(t *testing.T) {
	t.Parallel()
	production, staging := newSystem(t), newSystem(t)
	projector := production.startProjector(t)
	production.publishRegistered(t, someone, "real")
	staging.publishRegistered(t, another, "other")
	staging.publishRegistered(t, someone, "fake")
	first, err := staging.client.PublishErased(t.Context(), uuid(t, someone), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	production.waitProjected(t)
	rows := production.storedRows(t)
	out, status := command(t, "projector", withStreamOf(production, staging), "rebuild")
	if status != 1 || !strings.Contains(out, "1 are erased in one of the two alone") {
		t.Errorf("exit %d: %s", status, out)
	}
	production.mustRun(t, 0, "stream CONTROL_PLANE checked", "provision") // and enters no erasure
	projector.stop(t)
	if out := production.mustRun(t, 0, "ACCOUNT", "erasures", "list"); strings.Contains(out, someone) {
		t.Errorf("on the ledger: %s", out)
	}
	production.mustRun(t, 0, "", "status")
	production.mustRun(t, 0, "nothing to accept", "accept", "--yes")
	if now := production.storedRows(t); now != rows {
		t.Error("something else is stored")
	}
	out, status = command(t, "projector", withStreamOf(production, staging), "rebuild", "--accept-differences", "--yes")
	if status != 0 {
		t.Fatalf("exit %d: %s", status, out)
	}
	e, err := admin.FindErasure(t.Context(), production.pool, uuid(t, someone))
	if err != nil || e.Position != first.Position {
		t.Errorf("cut over to, the ledger has %+v, %v, want position %d", e, err, first.Position)
	}
}
