package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/auth/authtest"
	"accountexport/internal/workload"
)

// answers tells with which status the API answers someone.
func (s *system) answers(t *testing.T) func() int {
	t.Helper()
	token, err := authtest.Mint(jwtSecret, issuer, uuid(t, someone), "someone@example.org", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	serve := freeAddr(t)
	launch(t, "api", map[string]string{"DATABASE_URL": s.database, "HTTP_ADDR": serve, "ADMIN_ADDR": "127.0.0.1:0",
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret})
	return func() (status int) {
		eventually(t, "an answer", 20*time.Second, func(ctx context.Context) (err error) {
			status, _, _, err = get(ctx, "http://"+serve+"/v1/account/export", token)
			return err
		})
		return status
	}
}

func (s *system) says(t *testing.T, want int, says string, args ...string) string {
	t.Helper()
	out, status := command(t, "projector", s.settings, args...)
	if status != want || !strings.Contains(out, says) {
		t.Fatalf("%v: exit %d, want %d and %q: %s", args, status, want, says, out)
	}
	return out
}

// TestErasureOutlivesTheStream: a stream is restored from before an erasure, and
// the refusal's advice is followed: the account is erased in it anew, before it
// is cut over to, and nothing of it is left.
func TestErasureOutlivesTheStream(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	answer := s.answers(t)
	s.makeSomeone(t, uuid(t, someone))
	s.marked(t, someone, 5)
	s.stray(t, someone)
	if err := s.publish(t.Context(), workload.New(63, workload.Config{Accounts: 10}), 300, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	restore := s.backUp(t)
	if status := answer(); status != http.StatusOK {
		t.Fatalf("before: status %d", status)
	}
	s.inTheEndErased(t, someone)
	if status := answer(); status != http.StatusGone {
		t.Fatalf("erased: status %d", status)
	}
	restore()
	if status := projector.wait(); status != 13 {
		t.Fatalf("exit %d", status)
	}
	s.says(t, 13, "ends before the checkpoint", "status")
	s.says(t, 13, "cannot be accepted", "accept", "--yes")
	s.says(t, 0, "1 erasures were carried out anew", "rebuild", "--accept-differences")
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	if status := answer(); status != http.StatusGone {
		t.Errorf("restored: status %d", status)
	}
	s.noTraces(t)
	s.mustBeErased(t, someone)
	s.says(t, 0, "", "status")
	s.says(t, 0, "nothing to accept", "accept")
	s.says(t, 0, " 0 differ", "verify", "--all")
}

// TestStreamThatLacksAnErasureIsRefused: where nothing else is wrong with a
// stream that was restored from before an erasure, since the database was, too,
// and the ledger imported, `run` and `status` refuse, and `accept` erases anew.
func TestStreamThatLacksAnErasureIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	answer := s.answers(t)
	s.makeSomeone(t, uuid(t, someone))
	s.marked(t, someone, 5)
	s.stray(t, someone)
	s.marked(t, another, 2)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	if status := answer(); status != http.StatusOK {
		t.Fatalf("before: status %d", status)
	}
	projector.signal(syscall.SIGTERM)
	projector.wait()
	// Of another life of both, of which this is the ledger's export.
	ledger := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(ledger, []byte(`{"account":"`+someone+`","erased_at":"2026-03-25T07:11:48Z","position":1000,"stream":"CONTROL_PLANE","stream_created":"2026-03-01T00:00:00Z"}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.says(t, 0, "1 of them were not", "erasures", "import", ledger)
	before := s.documents(t)
	info, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"run", "status"} {
		s.says(t, 17, "account "+someone+" was erased at 2026-03-25T07:11:48Z", command)
	}
	s.says(t, 1, "account "+someone+", erased 2026-03-25", "accept")
	if now, err := s.client.Info(t.Context()); err != nil || now.Last != info.Last || now.Messages != info.Messages || s.documents(t) != before {
		t.Errorf("something was changed: %v", err)
	}
	s.says(t, 0, "1 erasures were carried out anew", "accept", "--yes")
	if status := answer(); status != http.StatusGone {
		t.Errorf("accepted: status %d", status)
	}
	s.mustBeErased(t, someone)
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.mustBeErased(t, someone)
	s.says(t, 0, "", "status")
	s.says(t, 0, "nothing to accept", "accept")
	s.erase(t, another, 0, nothingLeft)
	s.noTraces(t)
	s.says(t, 0, "2026-03-25T07:11:48Z", "erasures", "list")
	s.says(t, 0, "is live", "rebuild")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.mustBeErased(t, someone)
	s.verify(t)
}

// TestErasuresAreComparedAfterAReconnect: a server that comes back may hold
// another stream than before, so the ledger is compared again.
func TestErasuresAreComparedAfterAReconnect(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
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

func (s *system) importLedger(t *testing.T, account, at string) {
	t.Helper()
	ledger := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(ledger, []byte(`{"account":"`+account+`","erased_at":"`+at+`","position":1000,"stream":"CONTROL_PLANE","stream_created":"2026-03-01T00:00:00Z"}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.says(t, 0, "1 of them were not", "erasures", "import", ledger)
}

// TestDatabaseRestored follows doc/operating.md after a database was restored from
// before an erasure: nothing is served that was erased, by then or on the way,
// and nothing is left in any generation.
func TestDatabaseRestored(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, another, 2)
	s.marked(t, someone, 5)
	s.stray(t, someone)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, another, 0, nothingLeft)
	s.says(t, 0, "is live", "rebuild")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	backup := s.dump(t)
	s.erase(t, someone, 0, nothingLeft)
	s.noTraces(t)
	ledger := s.ledgerFile(t, someone)
	projector.kill()
	s.undump(t, backup)
	s.says(t, 0, "", "provision")
	s.says(t, 0, "", "erasures", "import", ledger)
	// It knows nothing of what was removed since, either.
	s.says(t, 18, "import the newest export of the ledger first", "run")
	s.says(t, 18, "1 accounts on the ledger of erasures are served still", "status")
	out := s.says(t, 1, "projector accept --yes", "accept")
	for _, all := range []string{"has lost", "were folded before", "Accepting erases them anew", "account " + someone + " is served"} {
		if !strings.Contains(out, all) {
			t.Errorf("what is to be accepted lacks %q: %s", all, out)
		}
	}
	s.says(t, 0, "carried out anew", "accept", "--yes")
	s.runs(t)
	s.noTraces(t)
}

// TestRestoredFromTheMiddle: the stream was backed up in the middle of an
// erasure, after the event was published; what is restored holds the account's
// messages still.
func TestRestoredFromTheMiddle(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.stray(t, someone)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	if _, err := s.client.PublishErased(t.Context(), uuid(t, someone), time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	kept := s.messages(t)
	s.erase(t, someone, 0, nothingLeft)
	s.noTraces(t)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.putMessages(t, kept)
	s.says(t, 12, "projector accept", "run")
	s.says(t, 0, "carried out anew", "rebuild", "--accept-differences")
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "", "status")
	s.noTraces(t)
}

// TestCopiesOfWhatIsErasedAnew: a copy of the stream keeps what is erased anew,
// which `accept` names and ends with 1; a receipt of an erasure that leaves a copy
// is none.
func TestCopiesOfWhatIsErasedAnew(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	s.marked(t, another, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.mirrored(t, "MIRROR")
	s.erase(t, another, 1, "KEEPS")
	if out := s.says(t, 0, another, "erasures", "list"); strings.Contains(out, "sha256:") {
		t.Errorf("a receipt is noted: %s", out)
	}
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.importLedger(t, someone, "2026-03-25T07:11:48Z")
	s.says(t, 1, "--purge-copies MIRROR", "accept", "--yes")
	s.says(t, 0, "nothing to accept", "accept", "--yes")
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.erase(t, another, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.says(t, 0, "sha256:", "erasures", "list")
}

// TestErasedAnewBeforeItWasFolded: what is erased anew is the stream's beginning,
// and the checkpoint is in the middle of it; nothing is lost by that, and nobody
// says so.
func TestErasedAnewBeforeItWasFolded(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.marked(t, someone, 50)
	s.marked(t, another, 5)
	s.importLedger(t, someone, "2026-03-25T07:11:48Z")
	s.says(t, 17, someone, "run")
	s.says(t, 0, "carried out anew", "accept", "--yes")
	if out, status := command(t, "projector", s.settings, "status"); status >= 10 {
		t.Errorf("status: exit %d: %s", status, out)
	}
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "", "status")
	s.says(t, 0, " 0 have changed", "refold", "--account", another)
	s.says(t, 0, " 0 differ", "verify", "--all")
}
