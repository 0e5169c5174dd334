package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestNothingIsLostOrDoubledUnderKills publishes 30,000 random events of 300
// accounts, 5 % of them hostile, while the projector is killed hard at 20
// random moments and PostgreSQL is stopped at once twice. Afterwards every
// document, parked message and count is what an independent fold of the stream
// gives.
func TestNothingIsLostOrDoubledUnderKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SEED=%d", seed)
	const messages, kills, over = 30_000, 20, 20 * time.Second
	s := newSystem(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	published := make(chan error, 1)
	g := workload.New(seed, workload.Config{Accounts: 300, HostileShare: 0.05, ErasureShare: 0.001, LargeShare: 0.002})
	go func() { published <- s.publish(t.Context(), g, messages, over) }()

	projector := launch(t, "projector", s.settings, "run")
	for i := range kills {
		moment := time.NewTimer(over/kills/4 + time.Duration(rng.Int64N(int64(over/kills))))
		<-moment.C
		if i == kills/3 || i == 2*kills/3 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if err := s.pg.StopImmediate(ctx); err != nil {
				t.Fatal(err)
			}
			if err := s.pg.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		projector.kill()
		projector = launch(t, "projector", s.settings, "run")
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	accounts, n := s.verify(t)
	t.Logf("%d kills, 2 immediate stops of PostgreSQL: %d messages, %d accounts compared, %v differences", kills, n, accounts, t.Failed())
	if n != messages {
		t.Errorf("the stream holds %d messages, %d were published", n, messages)
	}
}
