package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
	"accountexport/readmodel"
)

// TestErasureDuringARebuild erases an account, and a message on a mistyped subject, that a rebuild
// has folded and not yet committed. None of it gets into the generation that is being built, and
// the rebuild continues.
func TestErasureDuringARebuild(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 20)
	s.publishStray(t, someone)
	s.mustPublish(t, workload.New(61, workload.Config{Accounts: 20}), 3000)
	s.waitProjected(t)
	waiting, release := s.holdCommits(t, "accountexport rebuild")
	rebuild := launch(t, "projector", s.settings, "rebuild", "--cutover=manual", "--max-rate", "2000")
	waiting(1)
	s.erase(t, someone, 0, nothingLeft)
	release()
	eventually(t, "the rebuild to go on", time.Minute, func(context.Context) error {
		if out := rebuild.out.tail(1 << 16); !strings.Contains(out, "fenced") {
			return fmt.Errorf("it says %s", out)
		}
		return nil
	})
	rebuild.kill()
	s.checkNoTraces(t)
	s.checkErased(t, someone)
	s.mustRun(t, 0, "generation 2 is live", "rebuild")
	s.waitProjected(t)
	s.checkNoTraces(t)
	s.checkErased(t, someone)
	s.checkAgainstOracle(t)
}

// TestErasureOfTheStreamsBeginning: the stream begins with one large account, and a rebuild is in
// the middle of it, at work or killed. Erasing that account succeeds, and so does the next rebuild.
func TestErasureOfTheStreamsBeginning(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{true, false} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.startProjector(t)
			s.publishMarked(t, someone, 1500)
			s.mustPublish(t, workload.New(62, workload.Config{Accounts: 20}), 300)
			s.waitProjected(t)
			rebuild := launch(t, "projector", s.settings, "rebuild", "--max-rate", "100")
			eventually(t, "the rebuild to be in the middle of the account", time.Minute, func(ctx context.Context) error {
				position, err := readmodel.LowestPosition(ctx, s.pool, 2)
				if err == nil && position == 0 {
					err = fmt.Errorf("it is at %d", position)
				}
				return err
			})
			if killed {
				rebuild.kill()
			}
			out := s.erase(t, someone, 0, nothingLeft)
			if !strings.Contains(out, "given up           generation 2") {
				t.Errorf("the receipt does not say what became of the generation: %s", out)
			}
			if !killed {
				// It restarts by itself, or exits because what it had read is gone.
				if status := rebuild.wait(); status != 0 && status != 14 {
					t.Errorf("the rebuild exits %d", status)
				}
			}
			s.mustRun(t, 0, "", "rebuild")
			s.waitProjected(t)
			s.checkNoTraces(t)
			s.checkErased(t, someone)
			s.checkAgainstOracle(t)
		})
	}
}

// TestStrayReadAheadIsNotCommitted: a rebuild holds messages on mistyped subjects of several
// partitions in memory, and the erasure that removed them from the stream was killed. The erasure
// that completes it fences all those partitions.
func TestStrayReadAheadIsNotCommitted(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, another, 2)
	s.publishMarked(t, someone, 3)
	for i := range 5 { // at least one is in another partition than the account
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
	waiting(14) // among them the one of the mistyped message's partition
	s.killBeforeClearing(t, "erase", "--account", someone)
	s.erase(t, someone, 0, nothingLeft)
	letGo()
	if status := rebuild.wait(); status != 0 {
		t.Errorf("rebuild: exit %d: %s", status, rebuild.out.tail(2000))
	}
	s.checkNoTraces(t)
}

// withParameter adds a parameter to a URL.
func withParameter(url, parameter string) string {
	if strings.Contains(url, "?") {
		return url + "&" + parameter
	}
	return url + "?" + parameter
}

// TestDropDuringAnErasure: generations are dropped while accounts are erased, and both succeed.
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
