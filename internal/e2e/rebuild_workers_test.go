package e2e

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// children are the processes that a process has started, and that run.
func children(t *testing.T, of int) (pids []int) {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		var state string
		if n, _ := fmt.Sscan(line, &pid, &parent, &state); n == 3 && parent == of && !strings.HasPrefix(state, "Z") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// workersOf waits until a rebuild has so many workers beside itself.
func workersOf(t *testing.T, p *process, n int) (pids []int) {
	t.Helper()
	eventually(t, "the workers", time.Minute, func(context.Context) error {
		if pids = children(t, p.cmd.Process.Pid); len(pids) != n {
			return fmt.Errorf("%d workers run, want %d; it says %s", len(pids), n, p.out.tail(2000))
		}
		return nil
	})
	return pids
}

// TestRebuildByWorkers: several processes build a generation in several passes each. One of them is
// killed, then the one that leads, which takes the others with it; then the same command is given
// twice at once. The generation equals the live one and an independent fold.
func TestRebuildByWorkers(t *testing.T) {
	t.Parallel()
	kills, messages := 1, 12_000
	if testrun.Long() {
		kills, messages = 5, 60_000
	}
	s := newSystem(t)
	s.mustPublish(t, workload.New(testrun.Seed(t), workload.Config{Accounts: 2000, HostileShare: 0.05, ErasureShare: 0.0005}), messages)
	s.startProjector(t)
	s.waitProjected(t)
	settings := maps.Clone(s.settings)
	settings["STATE_CACHE_BYTES"], settings["ADMIN_ADDR"] = "1MiB", "127.0.0.1:0"
	slow := func() *process {
		return launch(t, "projector", settings, "rebuild", "--workers", "3", "--cutover=manual", "--max-rate", strconv.Itoa(messages))
	}

	for range kills {
		p := slow()
		workers := workersOf(t, p, 2)
		if err := syscall.Kill(workers[0], syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		eventually(t, "the rebuild to notice", time.Minute, func(context.Context) error {
			if out := p.out.tail(1 << 16); !strings.Contains(out, "a worker of the rebuild has ended before it was done") {
				return fmt.Errorf("it says %s", out)
			}
			return nil
		})
		p.kill() // waits for all that have its output open, so for the workers, too
		for _, pid := range workers {
			if err := syscall.Kill(pid, 0); err == nil {
				t.Errorf("worker %d lives on", pid)
			}
		}
	}

	first := slow()
	workersOf(t, first, 2)
	out := s.mustRun(t, 0, "generation 2 is ready", "rebuild", "--workers", "2", "--cutover=manual")
	if status := first.wait(); status != 0 {
		t.Errorf("the first of two rebuilds exits %d: %s", status, first.out.tail(2000))
	}
	checkContains(t, first.out.tail(1<<16), "generation 2 is ready", " 0 of them differ", "  3 processes, each", " passes: ")
	checkContains(t, out, "running already")
	s.mustRun(t, 0, "generation 2 is live", "cutover")
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}
