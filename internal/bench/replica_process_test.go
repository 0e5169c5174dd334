package bench

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/port"
)

// replica is a running `projector run` that can be asked how it is.
type replica struct {
	*projectorProcess
	admin   string
	started time.Time // before it was executed
}

// startReplica starts one with the settings that it has by default, and these.
func startReplica(b *testing.B, s *stack, program string, env ...string) *replica {
	b.Helper()
	n, err := port.Free()
	if err != nil {
		b.Fatal(err)
	}
	r := &replica{admin: fmt.Sprintf("127.0.0.1:%d", n), started: time.Now()}
	cmd := s.command(program, "run")
	cmd.Env = append(append(cmd.Env, "ADMIN_ADDR="+r.admin), env...)
	r.projectorProcess = startProcess(b, cmd)
	return r
}

// awaitReady returns how long after its start it was ready: it has its partitions, and is not
// behind without progressing.
func (r *replica) awaitReady(b *testing.B) time.Duration {
	b.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get("http://" + r.admin + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return time.Since(r.started)
		}
	}
	b.Fatalf("not ready after a minute: %s", r.out)
	return 0
}

// metric is a metric without labels; 0 where it is not there.
func (r *replica) metric(b *testing.B, name string) float64 {
	b.Helper()
	v, _ := metricOf(b, r.admin, name)
	return v
}

// metricOf is a metric without labels of the program with this admin address, and whether it
// is there.
func metricOf(b *testing.B, admin, name string) (v float64, ok bool) {
	b.Helper()
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			if _, err := fmt.Sscan(rest, &v); err != nil {
				b.Fatal(err)
			}
			ok = true
		}
	}
	return v, ok
}

// owners is how many partitions of the live generation each replica owns; those without an owner
// are under the empty name.
func (s *stack) owners(b *testing.B) map[string]int {
	b.Helper()
	rows, err := s.pool.Query(b.Context(), `
SELECT coalesce(owner, ''), count(*) FROM export.checkpoints JOIN export.generations USING (generation) WHERE state = 'live' GROUP BY 1`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var owner string
		var n int
		if err := rows.Scan(&owner, &n); err != nil {
			b.Fatal(err)
		}
		all[owner] = n
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return all
}

// awaitShared waits until this many replicas own all partitions, each as many as the others but one.
func (s *stack) awaitShared(b *testing.B, replicas int) {
	b.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		owners := s.owners(b)
		least, most := 1<<30, 0
		for _, n := range owners {
			least, most = min(least, n), max(most, n)
		}
		if owners[""] == 0 && len(owners) == replicas && most-least <= 1 {
			return
		}
	}
	b.Fatalf("after a minute partitions are owned like this, want them shared by %d: %v", replicas, s.owners(b))
}
