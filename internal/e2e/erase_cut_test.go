package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/workload"
)

// killBeforeClearing lets a command remove what it removes from the stream, and kills it
// before it has cleared the tables: in the transaction in which it is about to
// remove a stray of the first generation.
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

// TestErasureCutOffBeforeClearing: an erasure that was killed after the messages
// are gone, and before the tables were cleared, is taken up by the same command
// with all that it knew: strays that only the e-mail address tells are found.
// Until then `status` names it.
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

// TestErasingAnewGoesOn: carrying an erasure of the ledger out anew is cut off;
// nothing is folded until the same command has gone on with it.
func TestErasingAnewGoesOn(t *testing.T) {
	t.Parallel()
	for _, published := range []bool{false, true} { // as where it was cut off right after that
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
			if _, err := s.client.PublishErased(t.Context(), uuid(t, someone), time.Now()); err != nil {
				t.Fatal(err)
			}
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

// TestStrayReadAheadIsNotCommitted: a rebuild has strays in its memory, of
// whichever partitions; the erasure that has removed them from the stream was
// killed. The one that completes it fences them all.
func TestStrayReadAheadIsNotCommitted(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, another, 2)
	s.publishMarked(t, someone, 3)
	for i := range 5 { // one at least is in another partition than the account
		s.publishRaw(t, fmt.Sprint("controlplane.account.typo", i), `{"id":"`+someone+`","email":"`+addressOf(someone)+`"}`)
	}
	s.mustPublish(t, workload.New(69, workload.Config{Accounts: 20}), 1500)
	s.waitProjected(t)
	s.erase(t, another, 0, nothingLeft)
	waiting, letGo := s.holdCommits(t, "accountexport rebuild")
	building := maps.Clone(s.settings)
	building["LANES"] = "16"
	building["DATABASE_URL"] = withParameter(s.database, "pool_max_conns=40")
	rebuild := launch(t, "projector", building, "rebuild", "--cutover=manual", "--max-rate", "2000")
	waiting(14) // that of a stray's partition among them
	s.killBeforeClearing(t, "erase", "--account", someone)
	s.erase(t, someone, 0, nothingLeft)
	letGo()
	if status := rebuild.wait(); status != 0 {
		t.Errorf("rebuild: exit %d: %s", status, rebuild.out.tail(2000))
	}
	s.checkNoTraces(t)
}

func withParameter(url, parameter string) string {
	if strings.Contains(url, "?") {
		return url + "&" + parameter
	}
	return url + "?" + parameter
}

// TestErasureNeedsAWritableDatabase: DATABASE_URL is a standby's, or a user's
// whose transactions are read-only. That is said before anything is done.
func TestErasureNeedsAWritableDatabase(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	before := s.info(t)
	url := s.settings["DATABASE_URL"]
	s.settings["DATABASE_URL"] = withParameter(url, "default_transaction_read_only=on")
	s.mustRun(t, 1, "the database cannot be written", "erase", "--account", someone)
	s.settings["DATABASE_URL"] = url
	s.checkStreamUnchanged(t, before)
}

// TestDropDuringAnErasure: generations are dropped while accounts are erased, and
// neither minds.
func TestDropDuringAnErasure(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	const n = 4
	for i := range n {
		s.publishMarked(t, fmt.Sprintf("%08x-0d44-4b50-8888-8dd25736052a", i), 2)
	}
	s.waitProjected(t)
	for i := range n {
		s.mustRun(t, 0, "is live", "rebuild")
		erase := launch(t, "projector", s.settings, "erase", "--account", fmt.Sprintf("%08x-0d44-4b50-8888-8dd25736052a", i))
		s.mustRun(t, 0, "", "generations", "drop", fmt.Sprint(i+1))
		if status := erase.wait(); status != 0 {
			t.Errorf("erase: exit %d: %s", status, erase.out.tail(500))
		}
	}
	s.checkNoTraces(t)
}

// TestTombstoneInAnOlderFormat: a retired generation of an older program, made
// after `provision` of this one, keeps no erasure from ending.
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
