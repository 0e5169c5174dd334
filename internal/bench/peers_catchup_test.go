package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// BenchmarkPeers measures how fast `projector run` and what a team would build instead
// fold the same backlog, each from its start, in turns: all of them a short one, and
// those that do so in minutes a long one, in which the start counts for little.
func BenchmarkPeers(b *testing.B) {
	program, peers := buildProjector(b), buildPeers(b)
	for _, of := range []struct {
		title            string
		accounts, events int
		peers            []*peer
		turns            int
	}{
		{"Peers: catching up", size(3_000, 500), size(30_000, 4_000), peers, size(3, 1)},
		{"Peers: catching up for longer", size(10_000, 2_000), size(300_000, 40_000), peers[2:], size(3, 1)},
	} {
		b.Run(fmt.Sprintf("events=%d", of.events), func(b *testing.B) {
			r := newReport(b, of.title)
			s := newPeerStack(b, newStack(b))
			n := publishBacklog(b, s.stack, workload.NewBacklog(1, of.accounts, of.events))
			r.add("projector: events", "", float64(n))
			for b.Loop() {
				for range of.turns {
					s.forget(b)
					ours := s.measure(b, func() (time.Duration, int64) { return s.catchUp(b, program, n) })
					r.addPeer("projector", n, ours, ours.took)
					for _, p := range of.peers {
						s.forgetPeer(b, p)
						r.addPeer(p.name, n, s.measure(b, func() (time.Duration, int64) { return s.catchUpPeer(b, p, uint64(n)) }), ours.took)
					}
				}
			}
		})
	}
}

// addPeer adds what a program took to fold n messages, where ours took so long.
func (r *report) addPeer(name string, n int, m measured, ours time.Duration) {
	perEvent := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }
	r.add(name+": committed", "thousand/s", perSecond(n, m.took)/1000)
	r.add(name+": share of the projector's rate", "%", 100*ours.Seconds()/m.took.Seconds())
	r.add(name+": CPU of all three", "µs/event", perEvent(m.cpu.sum()))
	r.add(name+": CPU of the program", "µs/event", perEvent(m.cpu.projector))
	r.add(name+": CPU of the NATS server", "µs/event", perEvent(m.cpu.nats))
	r.add(name+": CPU of PostgreSQL", "µs/event", perEvent(m.cpu.postgres))
	r.add(name+": WAL", "bytes/event", float64(m.wal)/float64(n))
	r.add(name+": memory of the program, at most", "MiB", mebi(m.peak))
}

// BenchmarkPeersLive measures how long after the publisher's acknowledgement an event is
// visible in its document, with `projector run` and with each peer, in turns.
func BenchmarkPeersLive(b *testing.B) {
	r := newReport(b, "Peers: from acknowledged to visible")
	program, peers := buildProjector(b), buildPeers(b)
	s := newPeerStack(b, newStack(b))
	ids := publishAccounts(b, s.stack, 200)
	for _, p := range peers {
		s.forgetPeer(b, p)
	}
	seconds := size(4, 2)
	measure := func(name string, run *projectorProcess, w *positionWatcher) {
		for _, perSecond := range []int{100, 500} {
			before := cpuOf(b, run.Pid)
			took := pace(perSecond, perSecond*seconds, func(i int) time.Duration { return timeToVisible(b, s.stack, w, ids[i%len(ids)], i) })
			cpu := cpuOf(b, run.Pid) - before
			r.add(fmt.Sprintf("%s: %d/s, CPU of the program", name, perSecond), "µs/event", float64(cpu.Microseconds())/float64(len(took)))
			for _, p := range []float64{0.5, 0.99} {
				r.add(fmt.Sprintf("%s: %d/s, p%.0f", name, perSecond, 100*p), "ms", milliseconds(percentile(took, p)))
			}
		}
	}
	for b.Loop() {
		for range size(3, 1) {
			run := startProcess(b, s.command(program, "run"))
			s.waitProjected(b)
			w, stop := startWatcher(b, s.stack)
			measure("projector", run, w)
			stop()
			run.stop(b)
			for _, p := range peers {
				run := s.start(b, p)
				info, err := s.client.Info(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				s.waitPeer(b, p, run, info.Last)
				w, stop := startWatcherOf(b, s.stack, p.positions)
				measure(p.name, run, w)
				stop()
				run.stop(b)
			}
		}
	}
}
