package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"accountexport/internal/local/port"
)

// meteredStack is a stack whose servers count what they do: statements by pg_stat_statements,
// bytes by NATS's monitoring.
type meteredStack struct {
	*stack
	monitor string
}

func newMeteredStack(b *testing.B) *meteredStack {
	b.Helper()
	n, err := port.Free()
	if err != nil {
		b.Fatal(err)
	}
	s := &meteredStack{monitor: fmt.Sprintf("127.0.0.1:%d", n)}
	s.stack = newStackWith(b, stackOptions{
		settings: map[string]string{"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_utility": "off"},
		nats:     "http: \"" + s.monitor + "\"\njetstream: enabled\n",
	})
	if _, err := s.pool.Exec(b.Context(), `CREATE EXTENSION pg_stat_statements`); err != nil {
		b.Fatal(err)
	}
	return s
}

// meter is what the servers had counted at a time.
type meter struct {
	s              *meteredStack
	began          time.Time
	cpu            cpuTimes
	projectors     map[int]time.Duration // by process: CPU time so far
	calls, commits float64
	wal            int64
	natsOut        float64
}

// usage is what was used of the servers in a span of time, by whoever it was but the benchmark.
type usage struct {
	took           time.Duration
	cpu            cpuTimes
	calls, commits float64
	connections    float64
	wal            int64
	natsOut        float64
}

func (s *meteredStack) meter(b *testing.B, running ...*replica) meter {
	b.Helper()
	m := meter{s: s, projectors: map[int]time.Duration{}, wal: s.wal(b), cpu: s.serversCPU(b), began: time.Now()}
	for _, r := range running {
		m.projectors[r.Pid] = cpuOf(b, r.Pid)
	}
	m.calls, m.commits = s.statements(b)
	m.natsOut = s.natsBytesOut(b)
	return m
}

// read is what was used since, also by these projectors, of which some were running then.
func (m meter) read(b *testing.B, all []*replica) (u usage) {
	b.Helper()
	u.took = time.Since(m.began)
	u.cpu = m.s.serversCPU(b).minus(m.cpu)
	calls, commits := m.s.statements(b)
	u.calls, u.commits = calls-m.calls, commits-m.commits
	u.wal, u.natsOut = m.s.wal(b)-m.wal, m.s.natsBytesOut(b)-m.natsOut
	for _, r := range all {
		u.cpu.projector += cpuOf(b, r.Pid) - m.projectors[r.Pid]
	}
	if err := m.s.pool.QueryRow(b.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'accountexport%'`).Scan(&u.connections); err != nil {
		b.Fatal(err)
	}
	return u
}

// addTo adds what was used a second.
func (u usage) addTo(r *report, what string) {
	seconds := u.took.Seconds()
	r.add(what+": CPU of the projectors", "% of a core", 100*u.cpu.projector.Seconds()/seconds)
	r.add(what+": CPU of NATS", "% of a core", 100*u.cpu.nats.Seconds()/seconds)
	r.add(what+": CPU of PostgreSQL", "% of a core", 100*u.cpu.postgres.Seconds()/seconds)
	r.add(what+": statements", "1/s", u.calls/seconds)
	r.add(what+": commits", "1/s", u.commits/seconds)
	r.add(what+": WAL", "kB/s", float64(u.wal)/1000/seconds)
	r.add(what+": NATS bytes out", "kB/s", u.natsOut/1000/seconds)
	r.add(what+": connections", "", u.connections)
}

// ours marks the statements of the benchmark, which do not count.
const ours = `/* bench */`

// statements is how many statements were sent by others, and how many of them committed something:
// those that moved checkpoints.
func (s *meteredStack) statements(b *testing.B) (calls, commits float64) {
	b.Helper()
	if err := s.pool.QueryRow(b.Context(), `
SELECT coalesce(sum(calls), 0)::float8, coalesce(sum(calls) FILTER (WHERE query LIKE '%advance_checkpoints%'), 0)::float8
FROM pg_stat_statements WHERE toplevel AND query NOT LIKE '%`+ours+`%' AND query NOT LIKE '%pg_stat%'`).Scan(&calls, &commits); err != nil {
		b.Fatal(err)
	}
	return calls, commits
}

// natsBytesOut is how much the NATS server has sent to all of its clients.
func (s *meteredStack) natsBytesOut(b *testing.B) float64 {
	b.Helper()
	resp, err := http.Get("http://" + s.monitor + "/varz")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var v struct {
		OutBytes float64 `json:"out_bytes"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		b.Fatal(err)
	}
	return v.OutBytes
}
