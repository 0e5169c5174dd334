package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel/admin"
)

// killBeforeClearing lets a command remove messages from the stream, and kills it before it has
// cleared the tables: in the transaction that is about to delete a parked message of the first
// generation.
func (s *system) killBeforeClearing(t *testing.T, args ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `
SELECT pg_advisory_lock(4712);
CREATE FUNCTION export.cut() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_lock_shared(4712);
    RETURN OLD;
END
$$;
CREATE TRIGGER cut BEFORE DELETE ON export_g1.parked FOR EACH ROW EXECUTE FUNCTION export.cut()`); err != nil {
		t.Fatal(err)
	}
	cut := launch(t, "projector", s.settings, args...)
	const waits = `datname = current_database() AND wait_event = 'advisory' AND application_name = 'accountexport projector'`
	eventually(t, "it to clear the tables", time.Minute, func(ctx context.Context) error {
		var n int
		err := s.pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE `+waits).Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("it does not: %s", cut.out.tail(400))
		}
		return err
	})
	cut.kill()
	if _, err := s.pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE `+waits); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `DROP TRIGGER cut ON export_g1.parked; DROP FUNCTION export.cut`); err != nil {
		t.Fatal(err)
	}
}

// TestErasureCutOffBeforeClearing: an erasure is killed after it removed the messages and before it
// cleared the tables. The same command completes it with everything that the first one knew, so
// that messages which only the e-mail address tells are found. Until then `status` names the
// erasure.
func TestErasureCutOffBeforeClearing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, another, 2)
	s.publishMarked(t, someone, 3)
	s.publishRaw(t, "controlplane.account.typo", `{"email":"`+addressOf(someone)+`"}`)
	s.waitProjected(t)
	s.erase(t, another, 0, nothingLeft)
	s.killBeforeClearing(t, "erase", "--account", someone)
	s.mustRun(t, 0, "the erasure of account "+someone+" is not finished", "status")
	s.erase(t, someone, 0, nothingLeft)
	s.checkNoTraces(t)
	if out := s.mustRun(t, 0, "", "status"); strings.Contains(out, "not finished") {
		t.Errorf("status: %s", out)
	}
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
}

// TestErasingAnewGoesOn: `accept` is killed while it carries out an erasure of the ledger. Nothing
// is folded until `accept` has completed it.
func TestErasingAnewGoesOn(t *testing.T) {
	t.Parallel()
	for _, published := range []bool{false, true} { // as if it was killed right after that
		s := newSystem(t)
		projector := s.startProjector(t)
		s.publishMarked(t, someone, 5)
		s.publishStray(t, someone)
		s.waitProjected(t)
		s.mustRun(t, 0, "is live", "rebuild")
		s.waitProjected(t)
		projector.kill()
		s.importErasure(t, someone)
		s.mustRun(t, 17, someone, "status")
		s.checkStatusConsistent(t, 17)
		if published {
			s.publishErased(t, someone)
		} else {
			s.killBeforeClearing(t, "accept", "--yes")
		}
		for _, command := range []string{"status", "run"} {
			s.mustRun(t, 17, "projector accept", command)
		}
		s.mustRun(t, 0, "1 erasures were carried out anew", "accept", "--yes")
		s.mustRun(t, 0, "nothing to accept", "accept", "--yes")
		s.startProjector(t)
		s.waitProjected(t)
		s.mustRun(t, 0, "", "status")
		s.checkNoTraces(t)
		s.checkErased(t, someone)
	}
}

// TestBegunByMistakeIsTakenBack: an erasure that was begun by mistake, and killed before it
// published anything, can be taken off the ledger, and `status` no longer names it.
func TestBegunByMistakeIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	// This is the first step of `erase`.
	if err := admin.BeginErasure(t.Context(), s.pool, uuid(t, someone), []string{addressOf(someone)}, false); err != nil {
		t.Fatal(err)
	}
	s.run(t, "erasures", "remove", "--account", someone, "--yes")
	if out, status := command(t, "projector", s.settings, "status"); strings.Contains(out, "is not finished") {
		t.Errorf("status: exit %d: %s", status, out)
	}
}

// TestOwedWithoutEntry: an entry is taken off the ledger while `accept` is about to record what it
// will do, which leaves an unfinished erasure without an entry. `accept` then has nothing to do,
// every time.
func TestOwedWithoutEntry(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	s.erase(t, another, 0, nothingLeft)
	projector.stop(t)
	if err := admin.BeginErasure(t.Context(), s.pool, uuid(t, someone), []string{addressOf(someone)}, true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.checkRun(t, 0, "", "accept")
		s.run(t, "accept", "--yes")
	}
}

// TestTombstoneInAnOlderFormat: a retired generation that an older program made after this one ran
// `provision` does not keep an erasure from completing.
func TestTombstoneInAnOlderFormat(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	s.erase(t, someone, 0, nothingLeft)
	s.mustRun(t, 0, "is live", "rebuild")
	s.waitProjected(t)
	if _, err := s.pool.Exec(t.Context(), `
ALTER TABLE export_g1.account_export DROP COLUMN counted_at, DROP COLUMN messages, DROP COLUMN digest_high, DROP COLUMN digest_low;
UPDATE export.generations SET format = 1 WHERE generation = 1`); err != nil {
		t.Fatal(err)
	}
	s.publishMarked(t, someone, 1)
	s.waitProjected(t)
	s.erase(t, someone, 0, nothingLeft)
	s.checkNoTraces(t)
}
