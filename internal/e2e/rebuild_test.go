package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// TestRebuildWithoutAGap rebuilds 21,000 messages, 130,000 in the long form, while events are
// published and documents are read at full rate, and kills the rebuild five times. No read fails or
// goes back to an earlier position, the new generation goes live and equals an independent fold,
// and so does the former one after a rollback.
func TestRebuildWithoutAGap(t *testing.T) {
	t.Parallel()
	before, during, over, rate := 16_000, 5000, 4*time.Second, 7000
	if testrun.Long() {
		before, during, over, rate = 100_000, 30_000, 12*time.Second, 40_000
	}
	s := newSystem(t)
	seed := testrun.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	g := workload.New(seed, workload.Config{Accounts: 200, HostileShare: 0.05, ErasureShare: 0.0005})
	s.mustPublish(t, g, before)
	live := s.startProjector(t)
	s.waitProjected(t)

	waitPublished := s.publishOver(t, g, during, over)
	endReading, endHTTP := s.readContinuously(t), s.readContinuouslyOverHTTP(t)

	settings := map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "BATCH_EVENTS": "500"}
	for k, v := range s.settings {
		if settings[k] == "" {
			settings[k] = v
		}
	}
	for i := range 5 {
		rebuild := launch(t, "projector", settings, "rebuild", "--cutover=manual", "--max-rate", strconv.Itoa(rate))
		moment := time.NewTimer(time.Duration(200+rng.IntN(800)) * time.Millisecond)
		<-moment.C
		rebuild.kill()
		if out := rebuild.out.tail(1000); strings.Contains(out, "is ready") {
			t.Logf("kill %d came after the rebuild was ready", i)
		}
	}
	out, status := command(t, "projector", settings, "rebuild")
	if status != 0 || !strings.Contains(out, "generation 2 is live") || !strings.Contains(out, " 0 of them differ") {
		t.Fatalf("rebuild: exit %d: %s", status, out)
	}
	eventually(t, "the live projector to move over", 10*time.Second, func(context.Context) error {
		if !strings.Contains(live.out.tail(4000), "generation=2") {
			return fmt.Errorf("it says %s", live.out.tail(300))
		}
		return nil
	})
	waitPublished()
	s.waitProjected(t)
	t.Logf("%d reads, %d over HTTP", endReading(), endHTTP())
	want, messages := s.foldByOracle(t)
	s.checkAgainst(t, want, messages)

	s.checkVerify(t)

	out, status = command(t, "projector", settings, "rollback")
	if status != 0 || !strings.Contains(out, "generation 1 is live") {
		t.Fatalf("rollback: exit %d: %s", status, out)
	}
	s.waitProjected(t)
	s.checkAgainst(t, want, messages)
	if out, status = command(t, "projector", settings, "generations", "drop", "1"); status == 0 {
		t.Errorf("dropped the live generation: %s", out)
	}
	if out, status = command(t, "projector", settings, "generations", "drop", "2"); status != 0 {
		t.Errorf("drop: exit %d: %s", status, out)
	}
	if out, status = command(t, "projector", settings, "generations", "list"); status != 0 || strings.Count(out, "\n") != 3 {
		t.Errorf("list: exit %d: %s", status, out)
	}
}

// TestRestartedRebuildIsAnother: the generation that `rebuild --restart` gives up is neither
// compared nor cut over to, however long it takes to begin another one.
func TestRestartedRebuildIsAnother(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.mustPublish(t, workload.New(58, workload.Config{Accounts: 20}), 500)
	s.startProjector(t)
	s.waitProjected(t)
	s.mustRun(t, 0, "generation 2 is ready", "rebuild", "--cutover=manual")
	far := maps.Clone(s.settings)
	far["DATABASE_URL"] = s.databaseBehind(t, tcpproxy.Shape{Delay: 60 * time.Millisecond})
	if out, status := command(t, "projector", far, "rebuild", "--restart"); status != 0 || !strings.Contains(out, "generation 3 is live") {
		t.Errorf("rebuild --restart: exit %d: %s", status, out)
	}
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}

// checkVerify: `verify` finds no difference. After one byte of a document was changed it names that
// account, and a rebuild does not cut over.
func (s *system) checkVerify(t *testing.T) {
	t.Helper()
	s.checkRun(t, 0, " 0 differ", "verify", "--all")
	var id [16]byte
	err := s.pool.QueryRow(t.Context(), `
UPDATE export_g2.account_export SET user_json = set_byte(user_json, 60, get_byte(user_json, 60) # 1)
WHERE account_id = (SELECT account_id FROM export_g2.account_export WHERE user_json IS NOT NULL AND team_json IS NOT NULL
    AND quota_tier_id IN (SELECT id FROM export_g2.quota_tiers) ORDER BY account_id LIMIT 1)
RETURNING account_id`).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	account := events.UUID(id).String()
	for _, args := range [][]string{{"--all"}, {"--account", account}, {"--sample", "100000"}} {
		out := s.checkRun(t, 1, "account "+account, append([]string{"verify"}, args...)...)
		checkContains(t, out, "user: differs at byte 60", " 1 differ")
	}
	s.checkRun(t, 1, account+": user", "rebuild")
}

// TestRebuildEndsClearly: when the disk is full or its connections are cut, a rebuild exits with an
// error that says so, the live generation is unchanged, and the same command completes the rebuild
// afterwards.
func TestRebuildEndsClearly(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.mustPublish(t, workload.New(31, workload.Config{Accounts: 300, HostileShare: 0.05}), 6000)
	s.waitProjected(t)
	settings := map[string]string{"BATCH_EVENTS": "200"}
	for k, v := range s.settings {
		settings[k] = v
	}
	var generation int64
	rebuildBegun := func(ctx context.Context) error {
		var position int64
		return s.pool.QueryRow(ctx, `
SELECT g.generation, max(c.position) FROM export.generations g JOIN export.checkpoints c USING (generation)
WHERE g.state = 'building' GROUP BY 1 HAVING max(c.position) > 0`).Scan(&generation, &position)
	}
	checkFails := func(p *process, want ...string) {
		t.Helper()
		status, out := p.wait(), p.out.tail(2000)
		for _, w := range append(want, "the live generation is untouched, and `projector rebuild` goes on from here") {
			if status != 1 || !strings.Contains(out, w) {
				t.Errorf("rebuild: exit %d, and it does not say %q: %s", status, w, out)
			}
		}
		s.checkAgainstOracle(t)
	}

	p := launch(t, "projector", settings, "rebuild", "--max-rate", "1000")
	eventually(t, "the rebuild to begin", 20*time.Second, rebuildBegun)
	// PostgreSQL's error for a full disk.
	if _, err := s.pool.Exec(t.Context(), fmt.Sprintf(`
CREATE FUNCTION public.disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON export_g%d.account_export FOR EACH ROW EXECUTE FUNCTION public.disk_full()`, generation)); err != nil {
		t.Fatal(err)
	}
	checkFails(p, "No space left on device", "53100")
	checkFails(launch(t, "projector", settings, "rebuild"), "No space left on device")
	if _, err := s.pool.Exec(t.Context(), `DROP FUNCTION public.disk_full() CASCADE`); err != nil {
		t.Fatal(err)
	}

	p = launch(t, "projector", settings, "rebuild", "--max-rate", "1000")
	eventually(t, "the rebuild to go on", 20*time.Second, rebuildBegun)
	eventually(t, "its connections to be cut", 20*time.Second, func(ctx context.Context) error {
		var n int
		err := s.pool.QueryRow(ctx, `
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'accountexport rebuild'`).Scan(&n)
		select {
		case status := <-p.done:
			p.done <- status
			return err
		default:
			return fmt.Errorf("it goes on, %d cut: %v", n, err)
		}
	})
	checkFails(p, "rebuild:")

	if out, status := command(t, "projector", settings, "rebuild"); status != 0 || !strings.Contains(out, fmt.Sprintf("generation %d is live", generation)) {
		t.Fatalf("rebuild: exit %d: %s", status, out)
	}
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}
