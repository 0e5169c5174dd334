package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// checkpoints is a text of the position of every partition of every generation.
func (s *system) checkpoints(t *testing.T) (all string) {
	t.Helper()
	err := s.pool.QueryRow(t.Context(), `
SELECT string_agg(format('%s/%s at %s as of %s', generation, partition, position, as_of), ', ' ORDER BY generation, partition)
FROM export.checkpoints`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPause: two replicas under load, a rebuild, the API and its readers. Once `projector pause`
// has returned, no checkpoint of any generation advances, although events are published, a replica
// is killed and another started. Health checks and metrics say so and stay green, and commands that
// would wait for a checkpoint exit with 1 and name `projector resume`. After it everything
// continues by itself.
func TestPause(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	first, second := s.startObserved(t), s.startObserved(t)
	g := workload.New(91, workload.Config{Accounts: 60, HostileShare: 0.05, ErasureShare: 0.0005})
	s.mustPublish(t, g, 3000)
	eventually(t, "two to share", time.Minute, s.sharedEvenly(8, 8))
	s.waitProjected(t)
	first.waitReports(t, "ok", "projector_paused 0")
	endReading := s.readContinuouslyOverHTTP(t)

	stopPublishing := s.publishUntilStopped(t, g, 200, 400*time.Millisecond)
	slow := maps.Clone(s.settings)
	slow["BATCH_EVENTS"] = "100"
	rebuild := launch(t, "projector", slow, "rebuild", "--cutover=manual", "--max-rate", "300")
	eventually(t, "the rebuild to begin", 20*time.Second, func(ctx context.Context) error {
		var position int64
		return s.pool.QueryRow(ctx, `
SELECT max(c.position) FROM export.generations g JOIN export.checkpoints c USING (generation)
WHERE g.state = 'building' GROUP BY generation HAVING max(c.position) > 0`).Scan(&position)
	})

	// Several pauses at once are one.
	var pausing []*process
	for range 3 {
		pausing = append(pausing, launch(t, "projector", s.settings, "pause", "--note", "a new disk"))
	}
	already := 0
	for _, p := range pausing {
		if status, out := p.wait(), p.out.tail(1000); status != 0 || !strings.Contains(out, "paused") ||
			!strings.Contains(out, "(a new disk): no checkpoint moves until `projector resume`") {
			t.Fatalf("pause: exit %d: %s", status, out)
		} else if strings.Contains(out, "paused already") {
			already++
		}
	}
	if already != 2 {
		t.Errorf("%d of three say that it was paused already", already)
	}
	before := s.checkpoints(t)
	if status, out := rebuild.wait(), rebuild.out.tail(2000); status != 1 || !strings.Contains(out, "`projector resume` ends that") ||
		!strings.Contains(out, "`projector rebuild` goes on from here") {
		t.Errorf("the rebuild: exit %d: %s", status, out)
	}
	checkStill := func(what string) {
		t.Helper()
		if after := s.checkpoints(t); after != before {
			t.Fatalf("%s: checkpoints moved while paused:\n%s\n%s", what, before, after)
		}
	}
	checkStill("after the rebuild")
	const paused = "paused since "
	for _, w := range []observed{first, second} {
		w.waitReports(t, paused, "projector_paused 1")
	}
	beat, lag := first.gauge(t, "projector_last_progress_timestamp_seconds"), first.gauge(t, "projector_lag_events")
	s.checkPaused(t)
	served()
	// The lag grows, and the heartbeat goes on.
	eventually(t, "lag and heartbeat to go on", 20*time.Second, func(context.Context) error {
		if now := first.gauge(t, "projector_lag_events"); now <= lag || first.gauge(t, "projector_lag_seconds") <= 1 {
			return fmt.Errorf("the lag was %v and is %v", lag, now)
		}
		if now := first.gauge(t, "projector_last_progress_timestamp_seconds"); now <= beat+2 {
			return fmt.Errorf("it beat at %v, and last at %v", beat, now)
		}
		return nil
	})
	checkStill("after some seconds")

	second.kill()
	third := s.startObserved(t)
	third.waitReports(t, paused, "projector_paused 1")
	if third.gauge(t, "projector_lag_events") == 0 {
		t.Error("a replica that was started since tells no lag")
	}
	eventually(t, "the killed one to be no member", 20*time.Second, func(ctx context.Context) error {
		var n int
		if err := s.pool.QueryRow(ctx, `SELECT count(*) FROM export.members`).Scan(&n); err != nil || n != 2 {
			return fmt.Errorf("%d members, %v", n, err)
		}
		return nil
	})
	checkStill("with one killed and one started")
	checkLogged := func(want map[string]int) {
		t.Helper()
		for _, w := range []observed{first, third} {
			out := w.out.tail(1 << 20)
			for what, want := range want {
				if n := strings.Count(out, what); n != want {
					t.Errorf("a replica says %q %d times, want %d: %s", what, n, want, out)
				}
			}
		}
	}
	checkLogged(map[string]int{"projecting is paused": 1, "projecting goes on": 0, "starting again": 0})

	s.mustRun(t, 0, "resumed; it was paused since ", "resume")
	for _, w := range []observed{first, third} {
		w.waitReports(t, "ok", "projector_paused 0")
	}
	stopPublishing()
	s.waitProjected(t)
	eventually(t, "two to share again", time.Minute, s.sharedEvenly(8, 8))
	checkLogged(map[string]int{"projecting is paused": 1, "projecting goes on": 1})
	if out, status := command(t, "projector", s.settings, "resume"); status != 0 || out != "nothing is paused\n" {
		t.Errorf("resume again: exit %d: %s", status, out)
	}
	s.checkRun(t, 0, "generation 2 is live", "rebuild")
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	s.checkRun(t, 0, "", "verify", "--all")
	t.Logf("%d reads over HTTP", endReading())
}

// checkPaused: while projecting is paused, `status` says so and exits with 0, and commands that
// would wait for a checkpoint exit with 1.
func (s *system) checkPaused(t *testing.T) {
	t.Helper()
	var st struct {
		Lag    int `json:"lag_events"`
		Paused *struct {
			Since    time.Time
			By, Note string
		}
	}
	out, status := command(t, "projector", s.settings, "status", "--json")
	if err := json.Unmarshal(jsonPart(out), &st); err != nil || status != 0 || st.Lag == 0 || st.Paused == nil ||
		st.Paused.Since.IsZero() || !strings.Contains(st.Paused.By, "@") || st.Paused.Note != "a new disk" {
		t.Errorf("status: exit %d, %v: %s", status, err, out)
	}
	if out, status := command(t, "projector", s.settings, "status"); status != 0 || !strings.Contains(out, " behind, paused; ") ||
		!strings.Contains(out, "(a new disk): no checkpoint moves until `projector resume`") {
		t.Errorf("status: exit %d: %s", status, out)
	}
	for _, args := range [][]string{{"erase", "--account", someone}, {"rebuild"}, {"rebuild", "--restart"}, {"cutover"}, {"rollback"}} {
		if out, status := command(t, "projector", s.settings, args...); status != 1 || !strings.Contains(out, "paused since ") ||
			!strings.Contains(out, "`projector resume` ends that") {
			t.Errorf("%v: exit %d: %s", args, status, out)
		}
	}
	// Commands that need no checkpoint work.
	for _, args := range [][]string{{"verify", "--account", someone}, {"refold", "--account", someone}, {"generations", "list"}, {"history", "--account", someone}} {
		s.checkRun(t, 0, "", args...)
	}
}

// TestPauseEndsWhatWaits: an erasure that waits for a frozen projector exits when projecting is
// paused, and a refold that would change a row writes nothing. Both succeed after the pause.
func TestPauseEndsWhatWaits(t *testing.T) {
	t.Parallel()
	s, _ := newSystemWithAPI(t)
	s.settings["TAKEOVER_AFTER"] = "1m"
	projector := s.startProjector(t)
	s.waitProjected(t)
	projector.signal(syscall.SIGSTOP)
	erase := launch(t, "projector", s.settings, "erase", "--account", someone)
	eventually(t, "the erasure to wait", 20*time.Second, hasPrinted(erase, "waiting until generation 1"))
	s.mustRun(t, 0, "", "pause")
	if status, out := erase.wait(), erase.out.tail(2000); status != 1 || !strings.Contains(out, "`projector resume` ends that") ||
		!strings.Contains(out, "Nothing is removed yet") {
		t.Errorf("erase: exit %d: %s", status, out)
	}
	var other string
	err := s.pool.QueryRow(t.Context(), `
UPDATE export_g1.account_export SET user_json = set_byte(user_json, 60, get_byte(user_json, 60) # 1)
WHERE account_id = (SELECT account_id FROM export_g1.account_export WHERE user_json IS NOT NULL AND account_id <> $1 LIMIT 1) RETURNING account_id`,
		someone).Scan(&other)
	if err != nil {
		t.Fatal(err)
	}
	refold := func(want int, what string) {
		t.Helper()
		s.checkRun(t, want, what, "refold", "--account", other)
	}
	refold(1, "`projector resume` ends that")
	projector.signal(syscall.SIGCONT)
	eventually(t, "the projector to stand by", 20*time.Second, hasPrinted(projector, "projecting is paused"))
	s.mustRun(t, 0, "", "resume")
	refold(0, " 1 have changed")
	s.checkRun(t, 0, "", "erase", "--account", someone)
	s.waitProjected(t)
	s.checkRun(t, 0, "", "verify", "--all")
}
