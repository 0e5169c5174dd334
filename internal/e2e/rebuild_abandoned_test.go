package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestAbandonedGenerationIsTold: `status` names a generation that no rebuild is building any more,
// and the commands that continue it and give it up. While a rebuild is at work, a second one says
// so and waits.
func TestAbandonedGenerationIsTold(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.mustPublish(t, workload.New(33, workload.Config{Accounts: 10}), 3000)
	s.waitProjected(t)
	startRebuild := func() *process {
		t.Helper()
		rebuild := launch(t, "projector", s.settings, "rebuild", "--max-rate", "500")
		eventually(t, "a generation to be built", time.Minute, func(ctx context.Context) error {
			var n int
			err := s.pool.QueryRow(ctx, `SELECT count(*) FROM export.generations g JOIN export.checkpoints c USING (generation) WHERE state = 'building' AND position > 0`).Scan(&n)
			if err == nil && n == 0 {
				err = errors.New("none is")
			}
			return err
		})
		return rebuild
	}
	rebuild := startRebuild()
	s.mustRun(t, 0, "generation 2 is being built", "status")
	second := launch(t, "projector", s.settings, "rebuild")
	eventually(t, "the second to say so", time.Minute, hasPrinted(second, "running already"))
	second.kill()
	rebuild.kill()
	eventually(t, "the server to notice", time.Minute, func(context.Context) error {
		if out, status := command(t, "projector", s.settings, "status"); status != 0 || !strings.Contains(out, "nobody builds it: `projector rebuild` goes on with it, `projector generations drop 2` gives it up") {
			return errors.New(out)
		}
		return nil
	})
	s.mustRun(t, 0, "generation 2 is live", "rebuild")
	rebuild = startRebuild()
	rebuild.kill()
	s.mustRun(t, 0, "generation 3 is dropped", "generations", "drop", "3")
	if out := s.mustRun(t, 0, "", "status"); strings.Contains(out, "builds it") {
		t.Errorf("status: %s", out)
	}
}

// TestWhatWasBuiltFromALossIsGivenUp: a generation was built and not cut over to when the stream
// lost messages of it. The rebuild that the refusal advises begins another generation and succeeds.
func TestWhatWasBuiltFromALossIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		lose   func(s *system, t *testing.T, restore func())
		status int
	}{
		{"end", func(_ *system, _ *testing.T, restore func()) { restore() }, 13},
		{"end, and it has grown again", func(s *system, t *testing.T, restore func()) {
			restore()
			s.publishMarked(t, another, 20)
		}, 16},
		{"beginning", func(s *system, t *testing.T, _ func()) {
			s.publishMarked(t, someone, 20)
			s.purge(t, 20)
		}, 14},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			projector := s.startProjector(t)
			s.publishMarked(t, another, 3)
			s.waitProjected(t)
			restore := s.backUpNATS(t)
			s.publishMarked(t, someone, 5)
			s.waitProjected(t)
			s.mustRun(t, 0, "generation 2 is ready", "rebuild", "--cutover=manual")
			projector.stop(t)
			c.lose(s, t, restore)
			s.mustRun(t, c.status, "`projector rebuild --accept-differences`", "run")
			s.mustRun(t, 0, "generation 3 is live", "rebuild", "--accept-differences")
			s.startProjector(t)
			s.waitProjected(t)
			s.mustRun(t, 0, "", "status")
			s.checkAgainstOracle(t)
		})
	}
}
