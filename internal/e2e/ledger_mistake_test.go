package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/readmodel/admin"
)

// entered imports an account into the ledger as another life of the stream would
// have it.
func (s *system) entered(t *testing.T, account string) {
	t.Helper()
	ledger := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(ledger, fmt.Appendf(nil, `{"account":"%s","erased_at":"2026-03-25T07:11:48Z","position":1000,`+
		`"stream":"CONTROL_PLANE","stream_created":"2026-03-01T00:00:00Z"}`+"\n", account), 0o600); err != nil {
		t.Fatal(err)
	}
	s.says(t, 0, "1 of them were not", "erasures", "import", ledger)
}

// TestMistakenEntryIsTakenBack: an account that is served is on the ledger by
// mistake. Whoever follows what is printed is told so before anything is erased,
// and takes it off; who was erased stays on the ledger.
func TestMistakenEntryIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.registered(t, someone, "real")
	s.registered(t, another, "other")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, another, 0, nothingLeft)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	rows := s.stored(t)
	s.entered(t, someone)
	s.says(t, 17, "`projector erasures remove --account "+someone+"`", "run")
	for _, args := range [][]string{{"refold", "--account", someone}, {"parked", "retry", "--account", someone}, {"verify", "--account", someone}, {"verify", "--all"}} {
		s.says(t, 17, "account "+someone+" was erased at", args...)
	}
	s.says(t, 1, "account "+someone+" is served", "accept")
	s.says(t, 0, "no longer on the ledger", "erasures", "remove", "--account", someone)
	s.says(t, 1, "is not on the ledger", "erasures", "remove", "--account", someone)
	s.says(t, 1, "and it stays on the ledger", "erasures", "remove", "--account", another)
	s.says(t, 0, another, "erasures", "list")
	s.says(t, 0, "", "status")
	s.says(t, 0, "0 have changed", "refold", "--account", someone)
	s.says(t, 0, "nothing to accept", "accept", "--yes")
	if now := s.stored(t); now != rows {
		t.Error("something else is stored")
	}
}

// TestRebuildOfAnotherStreamErasesNobody: a rebuild is given another deployment's
// stream by mistake, and refuses. Who was erased there is not on the ledger by it,
// so that nothing advises to erase people here; who cuts over all the same has
// them on the ledger.
func TestRebuildOfAnotherStreamErasesNobody(t *testing.T) {
	t.Parallel()
	production, staging := newSystem(t), newSystem(t)
	projector := launch(t, "projector", production.settings, "run")
	production.registered(t, someone, "real")
	staging.registered(t, another, "other")
	staging.registered(t, someone, "fake")
	first, err := staging.client.PublishErased(t.Context(), uuid(t, someone), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, production.caughtUp)
	rows := production.stored(t)
	out, status := command(t, "projector", withStreamOf(production, staging), "rebuild")
	if status != 1 || !strings.Contains(out, "1 are erased in one of the two alone") {
		t.Errorf("exit %d: %s", status, out)
	}
	production.says(t, 0, "stream CONTROL_PLANE checked", "provision") // and nobody entered
	projector.signal(syscall.SIGTERM)
	projector.wait()
	if out := production.says(t, 0, "ACCOUNT", "erasures", "list"); strings.Contains(out, someone) {
		t.Errorf("on the ledger: %s", out)
	}
	production.says(t, 0, "", "status")
	production.says(t, 0, "nothing to accept", "accept", "--yes")
	if now := production.stored(t); now != rows {
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
