package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// running are the processes that run, that a process has started; 0 stands for any.
func running(t *testing.T, of int) (pids []int) {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		var state string
		if n, _ := fmt.Sscan(line, &pid, &parent, &state); n == 3 && (of == 0 || parent == of) && !strings.HasPrefix(state, "Z") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// workersOf waits until a rebuild has so many workers beside itself.
func workersOf(t *testing.T, p *process, n int) (pids []int) {
	t.Helper()
	eventually(t, "the workers", time.Minute, func(context.Context) error {
		if pids = running(t, p.cmd.Process.Pid); len(pids) != n {
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
	kills, messages := 1, 8_000
	if testrun.Long() {
		kills, messages = 5, 60_000
	}
	s := newSystem(t)
	s.mustPublish(t, workload.New(testrun.Seed(t), workload.Config{Accounts: 2000, HostileShare: 0.05, ErasureShare: 0.0005}), messages)
	s.startProjector(t)
	s.waitProjected(t)
	settings := maps.Clone(s.settings)
	settings["STATE_CACHE_BYTES"], settings["ADMIN_ADDR"] = "1MiB", "127.0.0.1:0"
	atRate := func(n int) *process {
		return launch(t, "projector", settings, "rebuild", "--workers", "3", "--cutover=manual", "--max-rate", strconv.Itoa(n))
	}

	for range kills {
		p := atRate(messages)
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
		p.kill()
		eventually(t, "the workers to end with their leader", time.Minute, func(context.Context) error {
			for _, pid := range workers {
				if slices.Contains(running(t, 0), pid) {
					return fmt.Errorf("worker %d lives on", pid)
				}
			}
			return nil
		})
		if out := p.out.tail(1 << 16); strings.Contains(out, "context canceled") {
			t.Errorf("workers that are told to end complain: %s", out)
		}
	}

	first := atRate(3 * messages)
	workersOf(t, first, 2)
	out := s.mustRun(t, 0, "generation 2 is ready", "rebuild", "--workers", "2", "--cutover=manual")
	if status := first.wait(); status != 0 {
		t.Errorf("the first of two rebuilds exits %d: %s", status, first.out.tail(2000))
	}
	checkContains(t, first.out.tail(1<<16), "generation 2 is ready", " 0 of them differ", "  3 processes, each", " passes: ")
	checkContains(t, out, "running already")
	s.checkExpectation(t, settings, messages)
	s.mustRun(t, 0, "generation 3 is live", "cutover")
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}

// checkExpectation: what a rebuild by two processes expects is what then happens: the messages and
// the passes to the last one, the rest about.
func (s *system) checkExpectation(t *testing.T, settings map[string]string, messages int) {
	t.Helper()
	out, status := command(t, "projector", settings, "rebuild", "--workers", "2", "--cutover=manual", "--restart", "--json")
	var result struct {
		Expected struct {
			Messages, Accounts, Passes, Disk, Spool int64
			Seconds                                 float64
		}
	}
	at := strings.Index(out, `{"generation":3`)
	if status != 0 || at < 0 {
		t.Fatalf("exit %d: %s", status, out)
	}
	if err := json.Unmarshal([]byte(out[at:at+strings.IndexByte(out[at:], '\n')]), &result); err != nil {
		t.Fatalf("%v: %s", err, out[at:])
	}
	e := result.Expected
	if e.Messages != int64(messages) {
		t.Errorf("%d messages were expected, and there are %d", e.Messages, messages)
	}
	if passes := int64(strings.Count(out, "position=0\n")); e.Passes < 2 || passes != 2*e.Passes {
		t.Errorf("two processes were to make %d passes each, and made %d together", e.Passes, passes)
	}
	var accounts, disk int64
	err := s.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM export_g3.account_export),
    (SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'export_g3'::regnamespace AND relkind = 'r')::bigint`).Scan(&accounts, &disk)
	if err != nil {
		t.Fatal(err)
	}
	within := func(what string, expected, is int64) {
		if expected < is/4 || expected > 4*is {
			t.Errorf("%s: %d were expected, and it is %d", what, expected, is)
		}
	}
	within("accounts", e.Accounts, accounts)
	within("bytes in the database", e.Disk, disk)
	if e.Spool == 0 || e.Seconds <= 0 {
		t.Errorf("no disk for later passes, or no time, was expected: %+v", e)
	}
}
