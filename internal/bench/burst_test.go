package bench

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
)

// BenchmarkBursts measures events that each change a random old sandbox, of accounts that differ
// in size: bursts of 2,000 that wait when `projector run` comes to them, and 500 a second. A
// burst on one small account is written as one row; one on as many small accounts, one event
// each, writes as many rows as one on random items of a large account writes pages. PostgreSQL
// makes a checkpoint before the first burst of a turn, so that its WAL has an image of each
// block that is touched; the WAL of those that follow has next to none.
func BenchmarkBursts(b *testing.B) {
	const n, perSecond = 2000, 500
	s := newStack(b)
	bursts := []*burst{{accounts: 1, items: 10}, {accounts: n, items: 10}}
	for _, items := range []int{100, 1000, 20_000, 100_000} {
		if items <= size(100_000, 20_000) {
			bursts = append(bursts, &burst{accounts: 1, items: items})
		}
	}
	publishAccounts(b, s, 1) // and the tier of all
	for i, u := range bursts {
		u.publish(b, s, i)
	}
	s.projectAll(b)
	if _, err := s.pool.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
		b.Fatal(err)
	}
	p := startProcess(b, s.command(buildProjector(b), "run"))
	s.waiting(b, p, bursts[0], n) // it has begun, and is warm
	waiting := newReport(b, "Bursts on old sandboxes, waiting")
	live := newReport(b, "Bursts on old sandboxes, live")
	for b.Loop() {
		for range size(5, 2) {
			for _, u := range bursts {
				s.checkpoint(b)
				first := s.waiting(b, p, u, n)
				const more = 4
				var next measured
				for range more {
					m := s.waiting(b, p, u, n)
					next.cpu = next.cpu.minus(cpuTimes{}.minus(m.cpu))
					next.wal += m.wal
				}
				waiting.addBurst(u, first, next, n, more*n)
			}
		}
		for range size(3, 1) {
			for _, u := range bursts {
				s.checkpoint(b)
				first := s.live(b, p, u, n, perSecond)
				live.addBurst(u, first, s.live(b, p, u, n, perSecond), n, n)
			}
		}
	}
}

// burst is a number of events on accounts with this number of sandboxes.
type burst struct {
	accounts, items int
	number          int
	random          *rand.Rand
	changes         int // so far
}

func (u *burst) account(i int) events.UUID {
	return events.UUID{0x3c, 0x90, 0xc3, 0xcc, 0x0d, 0x44, 0x4b, 0x50, 0xaa, byte(u.number), 0, 0, 0, 0, byte(i >> 8), byte(i)}
}

func (u *burst) sandbox(account, item int) string {
	random := rand.New(rand.NewPCG(uint64(u.number<<32+account), uint64(item)))
	return fmt.Sprintf("sbx_%016x", random.Uint64())
}

// publish publishes the accounts.
func (u *burst) publish(b *testing.B, s *stack, number int) {
	b.Helper()
	u.number, u.random = number, rand.New(rand.NewPCG(1, uint64(number)))
	each := u.items + 2
	publishEach(b, s, u.accounts*each, func(i int) (events.Message, error) {
		meta := newMeta(fmt.Sprintf("burst-%d-%d", number, i))
		a := i / each
		id := u.account(a)
		switch item := i%each - 2; item {
		case -2:
			return events.NewUserRegistered(meta, id, events.UserRegistered{Email: "burst@example.org", Tier: "free", QuotaTierID: "free"})
		case -1:
			return events.NewTeamCreated(meta, id, events.TeamCreated{ID: id, Name: "Burst", Slug: "burst", QuotaTierID: "free"})
		default:
			return events.NewSandboxCreated(meta, id, events.SandboxCreated{ID: u.sandbox(a, item), Template: "code-interpreter-v1", Metadata: u.metadata()})
		}
	})
}

func (u *burst) metadata() []byte {
	return fmt.Appendf(nil, `{"env":"production","region":"eu-central-1","run":"%016x%016x","owner":"user-%d@example.org"}`,
		u.random.Uint64(), u.random.Uint64(), u.random.IntN(500))
}

// change is an event on a random sandbox, of a large account one that has left the live tail; of
// several accounts, each has its turn.
func (u *burst) change() (events.Message, error) {
	u.changes++
	a, item := u.changes%u.accounts, u.random.IntN(u.items-min(20, u.items/2))
	meta := newMeta(fmt.Sprintf("burst-%d-change-%d", u.number, u.changes))
	if u.changes%2 == 0 {
		return events.NewSandboxStatusChanged(meta, u.account(a), events.SandboxStatusChanged{ID: u.sandbox(a, item), Status: "paused"})
	}
	return events.NewSandboxMetadataUpdated(meta, u.account(a), events.SandboxMetadataUpdated{ID: u.sandbox(a, item), Metadata: u.metadata()})
}

// waiting measures n events that are all there when the projector goes on.
func (s *stack) waiting(b *testing.B, p *projectorProcess, u *burst, n int) measured {
	b.Helper()
	hold := func(signal syscall.Signal) {
		if err := p.Signal(signal); err != nil {
			b.Fatal(err)
		}
	}
	hold(syscall.SIGSTOP)
	publishEach(b, s, n, func(int) (events.Message, error) { return u.change() })
	return s.measure(b, func() (time.Duration, int64) {
		before := cpuOf(b, p.cmd.Process.Pid)
		hold(syscall.SIGCONT)
		s.waitProjected(b)
		return cpuOf(b, p.cmd.Process.Pid) - before, 0
	})
}

// live measures n events that are published evenly.
func (s *stack) live(b *testing.B, p *projectorProcess, u *burst, n, perSecond int) measured {
	b.Helper()
	return s.measure(b, func() (time.Duration, int64) {
		before, began := cpuOf(b, p.cmd.Process.Pid), time.Now()
		const ticks = 100 // a second
		for i := range n * ticks / perSecond {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / ticks)))
			publishEach(b, s, perSecond/ticks, func(int) (events.Message, error) { return u.change() })
		}
		s.waitProjected(b)
		return cpuOf(b, p.cmd.Process.Pid) - before, 0
	})
}

func (s *stack) checkpoint(b *testing.B) {
	b.Helper()
	if _, err := s.pool.Exec(b.Context(), `CHECKPOINT`); err != nil {
		b.Fatal(err)
	}
}

// addBurst adds the first burst after a checkpoint, and those that followed it.
func (r *report) addBurst(u *burst, first, next measured, n, more int) {
	what := fmt.Sprintf("%d × %d: ", u.accounts, u.items)
	cpu := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(more) }
	r.add(what+"CPU of all three", "µs/event", cpu(next.cpu.sum()))
	r.add("  "+what+"projector", "µs/event", cpu(next.cpu.projector))
	r.add("  "+what+"PostgreSQL", "µs/event", cpu(next.cpu.postgres))
	r.add("  "+what+"WAL", "bytes/event", float64(next.wal)/float64(more))
	r.add("  "+what+"WAL after a checkpoint", "bytes/event", float64(first.wal)/float64(n))
}
