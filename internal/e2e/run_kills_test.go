package e2e

import (
	"context"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// TestNothingIsLostOrDoubledUnderKills publishes random events of 300 accounts, 5 % of them
// hostile, and kills the projector 20 times, 100 in the long form: mostly within moments of a
// commit, and sometimes while it starts. PostgreSQL is stopped twice. Afterwards every document,
// parked message and count equals an independent fold.
func TestNothingIsLostOrDoubledUnderKills(t *testing.T) {
	t.Parallel()
	kills, seed := 20, testrun.Seed(t)
	if testrun.Long() {
		kills = 100
	}
	s := newServer(t, postgres.Options{})
	settings := maps.Clone(s.settings)
	settings["TAKEOVER_AFTER"] = "1s"
	rng := rand.New(rand.NewPCG(seed, 1))
	g := workload.New(seed, workload.Config{Accounts: 300, HostileShare: 0.05, ErasureShare: 0.001, LargeShare: 0.002})
	stopPublishing := s.publishUntilStopped(t, g, 150, 200*time.Millisecond)
	commits := newCheckpointWatcher(s.database)
	go commits.listen(t.Context())

	projector := launch(t, "projector", settings, "run")
	atWork := 0
	for i := range kills {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		after := randomBelow(rng, []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}[i%3])
		if i%10 != 9 {
			if err := commits.committed(ctx); err != nil {
				t.Fatalf("before kill %d no commit comes: %v; the projector says %s", i, err, projector.out.tail(500))
			}
			atWork++
		}
		if err := sleep(ctx, after); err != nil {
			t.Fatal(err)
		}
		if i == kills/3 || i == 2*kills/3 {
			if err := s.pg.StopImmediate(ctx); err != nil {
				t.Fatal(err)
			}
			if err := s.pg.Restart(ctx); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		projector.kill()
		projector = launch(t, "projector", settings, "run")
	}
	messages := stopPublishing()
	s.waitProjected(t)
	accounts, n := s.checkAgainstOracle(t)
	t.Logf("%d kills, %d of them at work, 2 immediate stops of PostgreSQL: %d messages, %d accounts compared, %v differences", kills, atWork, n, accounts, t.Failed())
	if n != messages {
		t.Errorf("the stream holds %d messages, %d were published", n, messages)
	}
}
