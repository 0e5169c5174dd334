package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/internal/workload"
)

// raw publishes anything anywhere.
func (s *system) raw(t *testing.T, subject, data string) {
	t.Helper()
	if _, err := s.client.PublishRaw(t.Context(), events.Message{Subject: subject, Data: []byte(data)}); err != nil {
		t.Fatal(err)
	}
}

func addressOf(account string) string { return account[:2] + "@" + marker + ".example" }

// cutOff lets a command remove what it removes from the stream, and kills it
// before it has cleared the tables: in the transaction in which it is about to
// remove a stray of the first generation.
func (s *system) cutOff(t *testing.T, args ...string) {
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
	launch(t, "projector", s.settings, "run")
	s.marked(t, another, 2)
	s.marked(t, someone, 3)
	s.raw(t, "controlplane.account.typo", `{"email":"`+addressOf(someone)+`"}`)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, another, 0, nothingLeft)
	s.cutOff(t, "erase", "--account", someone)
	s.says(t, 0, "the erasure of account "+someone+" is not finished", "status")
	s.erase(t, someone, 0, nothingLeft)
	s.noTraces(t)
	if out := s.says(t, 0, "", "status"); strings.Contains(out, "not finished") {
		t.Errorf("status: %s", out)
	}
	s.says(t, 0, " 0 differ", "verify", "--all")
}

// TestErasingAnewGoesOn: carrying an erasure of the ledger out anew is cut off;
// nothing is folded until the same command has gone on with it.
func TestErasingAnewGoesOn(t *testing.T) {
	t.Parallel()
	for _, published := range []bool{false, true} { // as where it was cut off right after that
		s := newSystem(t)
		projector := launch(t, "projector", s.settings, "run")
		s.marked(t, someone, 5)
		s.stray(t, someone)
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		s.says(t, 0, "is live", "rebuild")
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		projector.kill()
		s.importLedger(t, someone, "2026-03-25T07:11:48Z")
		s.says(t, 17, someone, "status")
		s.saysWithoutContradiction(t, 17)
		if published {
			if _, err := s.client.PublishErased(t.Context(), uuid(t, someone), time.Now()); err != nil {
				t.Fatal(err)
			}
		} else {
			s.cutOff(t, "accept", "--yes")
		}
		for _, command := range []string{"status", "run"} {
			s.says(t, 17, "projector accept", command)
		}
		s.says(t, 0, "1 erasures were carried out anew", "accept", "--yes")
		s.says(t, 0, "nothing to accept", "accept", "--yes")
		launch(t, "projector", s.settings, "run")
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		s.says(t, 0, "", "status")
		s.noTraces(t)
		s.mustBeErased(t, someone)
	}
}

// TestStrayReadAheadIsNotCommitted: a rebuild has strays in its memory, of
// whichever partitions; the erasure that has removed them from the stream was
// killed. The one that completes it fences them all.
func TestStrayReadAheadIsNotCommitted(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	launch(t, "projector", s.settings, "run")
	s.marked(t, another, 2)
	s.marked(t, someone, 3)
	for i := range 5 { // one at least is in another partition than the account
		s.raw(t, fmt.Sprint("controlplane.account.typo", i), `{"id":"`+someone+`","email":"`+addressOf(someone)+`"}`)
	}
	if err := s.publish(t.Context(), workload.New(69, workload.Config{Accounts: 20}), 1500, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, another, 0, nothingLeft)
	waiting, letGo := s.hold(t, "accountexport rebuild")
	building := maps.Clone(s.settings)
	building["LANES"] = "16"
	building["DATABASE_URL"] = withParameter(s.database, "pool_max_conns=40")
	rebuild := launch(t, "projector", building, "rebuild", "--cutover=manual", "--max-rate", "2000")
	waiting(14) // that of a stray's partition among them
	s.cutOff(t, "erase", "--account", someone)
	s.erase(t, someone, 0, nothingLeft)
	letGo()
	if status := rebuild.wait(); status != 0 {
		t.Errorf("rebuild: exit %d: %s", status, rebuild.out.tail(2000))
	}
	s.noTraces(t)
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
	launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	url := s.settings["DATABASE_URL"]
	s.settings["DATABASE_URL"] = withParameter(url, "default_transaction_read_only=on")
	s.says(t, 1, "the database cannot be written", "erase", "--account", someone)
	s.settings["DATABASE_URL"] = url
	if after, err := s.client.Info(t.Context()); err != nil || after.Last != before.Last || after.Messages != before.Messages {
		t.Errorf("half done: the stream had %d messages to %d, and has %d to %d", before.Messages, before.Last, after.Messages, after.Last)
	}
}

// TestDropDuringAnErasure: generations are dropped while accounts are erased, and
// neither minds.
func TestDropDuringAnErasure(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	launch(t, "projector", s.settings, "run")
	const n = 4
	for i := range n {
		s.marked(t, fmt.Sprintf("%08x-0d44-4b50-8888-8dd25736052a", i), 2)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	for i := range n {
		s.says(t, 0, "is live", "rebuild")
		erase := launch(t, "projector", s.settings, "erase", "--account", fmt.Sprintf("%08x-0d44-4b50-8888-8dd25736052a", i))
		s.says(t, 0, "", "generations", "drop", fmt.Sprint(i+1))
		if status := erase.wait(); status != 0 {
			t.Errorf("erase: exit %d: %s", status, erase.out.tail(500))
		}
	}
	s.noTraces(t)
}

// TestTombstoneInAnOlderFormat: a retired generation of an older program, made
// after `provision` of this one, keeps no erasure from ending.
func TestTombstoneInAnOlderFormat(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, someone, 0, nothingLeft)
	s.says(t, 0, "is live", "rebuild")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	if _, err := s.pool.Exec(t.Context(), `
ALTER TABLE export_g1.account_export DROP COLUMN counted_at, DROP COLUMN messages, DROP COLUMN digest_high, DROP COLUMN digest_low;
UPDATE export.generations SET format = 1 WHERE generation = 1`); err != nil {
		t.Fatal(err)
	}
	s.marked(t, someone, 1)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, someone, 0, nothingLeft)
	s.noTraces(t)
}
