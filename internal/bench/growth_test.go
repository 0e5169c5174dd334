package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// BenchmarkGrowth measures what grows with accounts, with the items of one account, and with
// parked messages. What a figure is of stands behind it, so that each is a curve; a curve that is
// not flat where it could be is a finding.
func BenchmarkGrowth(b *testing.B) {
	program := buildProjector(b)
	b.Run("accounts", func(b *testing.B) {
		c := newCurve(b, "Growth with accounts, four messages each")
		for _, n := range pick([]int{1_000, 10_000, 100_000, 500_000}, []int{1_000, 30_000}) {
			growAccounts(b, c, program, n)
		}
	})
	b.Run("items", func(b *testing.B) {
		c := newCurve(b, "Growth with the sandboxes of one account")
		for _, n := range pick([]int{10, 100, 1_000, 10_000, 100_000}, []int{10, 10_000}) {
			growItems(b, c, program, n)
		}
	})
	b.Run("erasures", func(b *testing.B) {
		c := newCurve(b, "Growth with erased accounts, beside 1000 others")
		for _, n := range pick([]int{0, 3_000, 30_000}, []int{0, 10_000}) {
			growErasures(b, c, program, n)
		}
	})
	b.Run("parked", func(b *testing.B) {
		c := newCurve(b, "Growth with parked messages")
		growParked(b, c, program, pick([]int{0, 10_000, 100_000, 1_000_000}, []int{0, 50_000}))
	})
}

// pick is size for a list.
func pick(whole, short []int) []int {
	if testing.Short() {
		return short
	}
	return whole
}

// curve collects figures that are of a number of something, and hands them to a report figure by
// figure, so that each is read down the numbers.
type curve struct {
	order  []string
	points map[string][]point
}

type point struct {
	n     int
	unit  string
	value float64
}

func newCurve(b *testing.B, title string) *curve {
	return newCurveOf(newReport(b, title))
}

// newCurveOf adds the curve to a report, behind what that has by then.
func newCurveOf(r *report) *curve {
	c := &curve{points: map[string][]point{}}
	r.b.Cleanup(func() { // before the report's own
		for _, what := range c.order {
			for _, p := range c.points[what] {
				r.add(fmt.Sprintf("%d: %s", p.n, strings.TrimSpace(what)), p.unit, p.value)
			}
		}
	})
	return c
}

func (c *curve) add(what, unit string, n int, value float64) {
	if len(c.points[what]) == 0 {
		c.order = append(c.order, what)
	}
	c.points[what] = append(c.points[what], point{n, unit, value})
}

// growAccounts measures a stream of this many accounts, which were published, with four messages
// each, but at least 40,000 messages.
func growAccounts(b *testing.B, c *curve, program string, accounts int) {
	s := newStack(b)
	n := publishBacklog(b, s, workload.NewBacklog(1, accounts, max(4*accounts, 40_000)))
	m := s.measure(b, func() (time.Duration, int64) { return s.catchUp(b, program, n) })
	c.add("catching up", "thousand/s", accounts, float64(n)/m.took.Seconds()/1000)
	c.add("  CPU of catching up", "µs/event", accounts, float64(m.cpu.sum().Microseconds())/float64(n))
	c.add("  memory at most", "MiB", accounts, float64(m.peak)/(1<<20))
	s.measureUpkeep(b, c, program, accounts)
}

// measureUpkeep measures what is done with accounts that are there: start, status, verify of a
// sample, and take-over.
func (s *stack) measureUpkeep(b *testing.B, c *curve, program string, n int) {
	b.Helper()
	first := startReplica(b, s, program)
	c.add("from exec to ready", "ms", n, milliseconds(first.awaitReady(b)))
	took, cpu := s.timeCommand(b, program, "status")
	c.add("status", "ms", n, milliseconds(took))
	c.add("  CPU of status", "ms", n, milliseconds(cpu.sum()))
	took, cpu = s.timeCommand(b, program, "verify", "--sample", "50")
	c.add("verify of 50", "ms", n, milliseconds(took))
	c.add("  CPU of verify", "ms", n, milliseconds(cpu.sum()))
	second := startReplica(b, s, program)
	s.awaitShared(b, 2)
	began := time.Now()
	if err := first.Kill(); err != nil {
		b.Fatal(err)
	}
	s.awaitShared(b, 1)
	c.add("take-over after SIGKILL", "ms", n, milliseconds(time.Since(began)))
	second.stop(b)
}

// timeCommand is how long a command takes, which has to end without an error, and the CPU time
// of the servers and the command meanwhile.
func (s *stack) timeCommand(b *testing.B, program string, args ...string) (time.Duration, cpuTimes) {
	b.Helper()
	m := s.measure(b, func() (time.Duration, int64) { return startProcess(b, s.command(program, args...)).ended(b) })
	return m.took, m.cpu
}

// growErasures measures what depends on how many accounts are on the ledger of erasures. Of the
// erased ones there was no other message: nothing that is measured depends on those.
func growErasures(b *testing.B, c *curve, program string, erasures int) {
	s := newStack(b)
	n := publishBacklog(b, s, workload.NewBacklog(1, 1_000, 10_000))
	publishEach(b, s, erasures, func(i int) (events.Message, error) {
		account := events.UUID{0xe0, byte(i >> 16), byte(i >> 8), byte(i)}
		return events.NewAccountErased(newMeta("erase-"+account.String()), account)
	})
	s.catchUp(b, program, n+erasures)
	s.measureUpkeep(b, c, program, erasures)
}

// growItems measures an account with this many sandboxes: GET, and changes of one random old
// sandbox at a time, each visible before the next is published.
func growItems(b *testing.B, c *curve, program string, items int) {
	s := newStack(b)
	account, _ := events.ParseUUID("3c90c3cc-0d44-4b50-9999-000000000000")
	at := func(i int) events.Meta { return newMeta(fmt.Sprint("item-", i)) }
	publishEach(b, s, items+3, func(i int) (events.Message, error) {
		switch i {
		case 0:
			return events.NewQuotaTierDefined(at(i), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
		case 1:
			return events.NewUserRegistered(at(i), account, events.UserRegistered{Email: "large@example.org", Tier: "free", QuotaTierID: "free"})
		case 2:
			return events.NewTeamCreated(at(i), account, events.TeamCreated{ID: events.UUID{7}, Name: "Large", Slug: "large", QuotaTierID: "free"})
		}
		return events.NewSandboxCreated(at(i), account, events.SandboxCreated{ID: fmt.Sprintf("sbx_%d", i-3), Template: "code-interpreter-v1",
			Metadata: []byte(fmt.Sprintf(`{"env":"production","region":"eu-central-1","run":"%016x","owner":"user-%d@example.org"}`, i*7919, i%500))})
	})
	p := startReplica(b, s, program)
	p.awaitReady(b)
	s.waitProjected(b)
	const changes = 50
	w, stopWatching := startWatcher(b, s)
	var visible []time.Duration
	cpu := cpuOf(b, p.Pid)
	m := s.measure(b, func() (time.Duration, int64) {
		for i := range changes {
			m, err := events.NewSandboxStatusChanged(newMeta(fmt.Sprint("status-", i)), account, events.SandboxStatusChanged{ID: fmt.Sprintf("sbx_%d", i*7919%items), Status: fmt.Sprint("s", i)})
			if err != nil {
				b.Fatal(err)
			}
			position, _, err := s.client.Publish(b.Context(), m)
			if err != nil {
				b.Fatal(err)
			}
			acknowledged := time.Now()
			at, ok := w.await(account, position)
			if !ok {
				b.Fatalf("message %d did not become visible", position)
			}
			visible = append(visible, at.Sub(acknowledged))
		}
		return cpuOf(b, p.Pid) - cpu, 0
	})
	stopWatching()
	c.add("change of an old item, visible p50", "ms", items, milliseconds(percentile(visible, 0.5)))
	c.add("  CPU of the projector", "ms/change", items, milliseconds(m.cpu.projector)/changes)
	c.add("  WAL", "bytes/change", items, float64(m.wal)/changes)
	exports := export.NewReader(s.pool)
	gets := 20
	began, size := time.Now(), int64(0)
	for range gets {
		d, err := exports.Open(b.Context(), account)
		if err != nil {
			b.Fatal(err)
		}
		if size, err = d.WriteTo(discard{}); err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
	c.add("the document, read", "ms", items, milliseconds(time.Since(began))/float64(gets))
	c.add("  of", "bytes", items, float64(size))
	p.stop(b)
}

// discard is where a document goes that nobody reads.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// growParked measures what depends on how many messages are parked. The rows are made by SQL,
// as projecting would make them: nothing that is measured depends on how they came.
func growParked(b *testing.B, c *curve, program string, numbers []int) {
	s := newStack(b)
	publishAccounts(b, s, 20)
	p := startReplica(b, s, program)
	p.awaitReady(b)
	s.waitProjected(b)
	have := 0
	for _, n := range numbers {
		if _, err := s.pool.Exec(b.Context(), `
INSERT INTO export_g1.parked (position, partition, account_id, sent_at, subject, type, reason, headers, payload)
SELECT 1000000 + i, i % 16, gen_random_uuid(), now(), 'controlplane.account.' || gen_random_uuid(), 'controlplane.sandbox.status_changed.v1',
    'data: status has to be text, found the number ' || i, '', convert_to('{"specversion":"1.0","id":"' || i || '","source":"/bench","type":"controlplane.sandbox.status_changed.v1","data":' || repeat('x', 300) || '}', 'UTF8')
FROM generate_series($1::integer + 1, $2::integer) i`, have, n); err != nil {
			b.Fatal(err)
		}
		have = n
		if _, err := s.pool.Exec(b.Context(), `VACUUM ANALYZE export_g1.parked`); err != nil { // as autovacuum does after a minute
			b.Fatal(err)
		}
		took, _ := s.timeCommand(b, program, "status")
		c.add("status", "ms", n, milliseconds(took))
		took, _ = s.timeCommand(b, program, "parked", "list", "--limit", "100")
		c.add("parked list, first 100", "ms", n, milliseconds(took))
		began := time.Now()
		if _, err := admin.SurveyParked(b.Context(), s.pool, admin.ParkedFilter{}, 100, nil); err != nil {
			b.Fatal(err)
		}
		c.add("survey of all", "ms", n, milliseconds(time.Since(began)))
		s.measureIdle(b, c, p, n)
	}
	p.stop(b)
}

// measureIdle measures what a replica costs that has nothing to do, and what its metrics do.
func (s *stack) measureIdle(b *testing.B, c *curve, p *replica, n int) {
	b.Helper()
	span := time.Duration(size(12, 10)) * time.Second
	before, own := s.serversCPU(b), cpuOf(b, p.Pid)
	time.Sleep(span)
	servers := s.serversCPU(b).minus(before)
	c.add("idle replica: CPU of PostgreSQL", "ms/s", n, milliseconds(servers.postgres)/span.Seconds())
	c.add("idle replica: CPU of its own", "ms/s", n, milliseconds(cpuOf(b, p.Pid)-own)/span.Seconds())
	began := time.Now()
	p.metric(b, "projector_parked_events")
	c.add("scrape", "ms", n, milliseconds(time.Since(began)))
}
