package console

import (
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/projections/engine"
)

// withRebuilds lets a console change generations, with pools of each rebuild's own as
// cmd/projector has them.
func withRebuilds(c *Config) {
	c.AllowActs = true
	database := c.Pool.Config().ConnString()
	c.Rebuilder = func(ctx context.Context, on acts.Target, command string) (*acts.Rebuilder, func(), error) {
		return newRebuilder(ctx, database, on, command)
	}
}

// newRebuilder makes a rebuild that is not ready yet.
func newRebuilder(ctx context.Context, database string, on acts.Target, command string) (*acts.Rebuilder, func(), error) {
	var pools [2]*pgxpool.Pool
	done := func() {
		for _, p := range pools {
			if p != nil {
				p.Close()
			}
		}
	}
	for i := range pools {
		var err error
		if pools[i], err = pgxpool.New(ctx, database); err != nil {
			done()
			return nil, nil, err
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	r := &acts.Rebuilder{Target: acts.NewTarget(on.Stream, pools[0]), Builder: pools[1], Command: command, Owner: "rebuild " + events.NewUUID().String(),
		Engine: engine.Options{Logger: quiet, CacheBytes: 64 << 20, Batch: engine.Bound{Events: 64, Bytes: 1 << 20}}} // so that checkpoints move often
	r.OnProgress = func(uint64, uint64) {}
	r.OnCutover = func(int64, int64) {}
	return r, done, nil
}

// rebuildElsewhere builds a generation as `projector rebuild --cutover=manual` does in
// another process, until the test ends or stop is called.
func (s *stack) rebuildElsewhere(t *testing.T, maxRate int) (stop func() error) {
	t.Helper()
	r, done, err := newRebuilder(t.Context(), s.pool.Config().ConnString(), acts.Target{Stream: s.client}, "rebuild")
	if err != nil {
		t.Fatal(err)
	}
	r.MaxRate = maxRate
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := r.Ready(ctx)
		if err == nil {
			err = r.Begin(ctx)
		}
		if err == nil {
			err = r.Build(ctx)
		}
		r.Close(context.Background())
		done()
		ended <- err
	}()
	var over error
	stopped := false
	stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			over = <-ended
		}
		return over
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}
