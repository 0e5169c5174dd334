package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// TestIdleReplicasCostLittle: on a PostgreSQL with default settings, no statement of two replicas,
// an API and `status` is worth just-in-time compilation, neither in a new generation without
// statistics nor when idle, and no replica restarts. The test logs the share of a core that idling
// takes; in the long form for ten minutes, beside a busy machine.
func TestIdleReplicasCostLittle(t *testing.T) {
	t.Parallel()
	span, hogs := 5*time.Second, 0
	if testrun.Long() {
		span, hogs = 10*time.Minute, 4
	}
	// The extension counts the compilations of each statement.
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	if len(glob(t, filepath.Join(binaries, "../lib/pg_stat_statements.*"))) == 0 {
		testrun.Missing(t, "PostgreSQL's pg_stat_statements", "apt install postgresql")
	}
	s := newServer(t, postgres.Options{Settings: map[string]string{"shared_preload_libraries": "pg_stat_statements"}})
	if _, err := s.pool.Exec(t.Context(), `CREATE EXTENSION pg_stat_statements`); err != nil {
		t.Fatal(err)
	}
	replicas := []*process{s.startProjector(t), s.startProjector(t)}
	api := map[string]string{"DATABASE_URL": s.database, "HTTP_ADDR": freeAddr(t), "ADMIN_ADDR": freeAddr(t), "JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret}
	launch(t, "api", api)
	s.mustPublish(t, workload.New(81, workload.Config{Accounts: 300, HostileShare: 0.05, ErasureShare: 0.01}), 5000)
	s.waitProjected(t)
	s.readEveryExport(t, "http://"+api["HTTP_ADDR"])
	s.mustRun(t, 0, "", "status")

	keepBusy(t, hogs)
	before, began := cpuTime(t, s.pg.PID()), time.Now()
	time.Sleep(span) // this is the time whose cost is measured
	took := time.Since(began)
	share := 100 * (cpuTime(t, s.pg.PID()) - before).Seconds() / took.Seconds()
	t.Logf("PostgreSQL took %.1f %% of a core with two idle replicas and an API, over %v, beside %d busy processes", share, took.Round(time.Second), hogs)
	if share > 15 { // the aim is 5; this is processor time, not elapsed time
		t.Errorf("being idle takes %.1f %% of a core", share)
	}

	for i, p := range replicas {
		if said := p.out.tail(1 << 20); strings.Contains(said, "starting again") || strings.Count(said, "following the stream") != 1 {
			t.Errorf("replica %d began anew: %s", i+1, said)
		}
	}
	var statements, calls int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*), sum(calls) FROM pg_stat_statements`).Scan(&statements, &calls); err != nil {
		t.Fatal(err)
	}
	if statements < 40 {
		t.Errorf("only %d statements were looked at", statements)
	}
	t.Logf("%d statements, run %d times", statements, calls)
	rows, err := s.pool.Query(t.Context(), `
SELECT query, calls, jit_functions, jit_generation_time + jit_inlining_time + jit_optimization_time + jit_emission_time
FROM pg_stat_statements WHERE jit_functions > 0`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var query string
		var n, functions int
		var ms float64
		if err := rows.Scan(&query, &n, &functions, &ms); err != nil {
			t.Fatal(err)
		}
		t.Errorf("run %d times, this was compiled for %.0f ms, %d functions:\n%s", n, ms, functions, query)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// readEveryExport asks the API for every account's export.
func (s *system) readEveryExport(t *testing.T, url string) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT account_id FROM export_g1.account_export`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := map[int]int{}
	for rows.Next() {
		var id [16]byte
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		token := mintToken(t, id)
		eventually(t, "an answer", time.Minute, func(ctx context.Context) error {
			status, _, _, err := get(ctx, url+"/v1/account/export", token)
			n[status]++
			return err
		})
	}
	if rows.Err() != nil || n[200] < 100 {
		t.Fatalf("answers by status: %v, %v", n, rows.Err())
	}
}

// keepBusy keeps the machine busy until the test ends.
func keepBusy(t *testing.T, hogs int) {
	var end atomic.Bool
	t.Cleanup(func() { end.Store(true) })
	for range hogs {
		go func() {
			for n := 0; !end.Load(); n++ {
				_ = n * n
			}
		}()
	}
}

// cpuTime is the processor time that a PostgreSQL server and all its processes have used, including
// those that have ended.
func cpuTime(t *testing.T, postmaster int) (total time.Duration) {
	t.Helper()
	for _, dir := range glob(t, "/proc/[0-9]*") {
		b, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // the process has ended
		}
		_, after, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(after) // state, ppid, …; utime, stime, cutime and cstime are the 12th to 15th
		ppid, _ := strconv.Atoi(f[1])
		pid, _ := strconv.Atoi(filepath.Base(dir))
		fields := f[11:13]
		switch {
		case pid == postmaster:
			fields = f[11:15]
		case ppid != postmaster:
			continue
		}
		for _, ticks := range fields {
			n, err := strconv.Atoi(ticks)
			if err != nil {
				t.Fatal(err)
			}
			total += time.Duration(n) * time.Second / 100
		}
	}
	if total == 0 {
		t.Fatal(fmt.Errorf("process %d: %w", postmaster, syscall.ESRCH))
	}
	return total
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
