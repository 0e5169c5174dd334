package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// BenchmarkPeers measures how fast `projector run` and what a team would build instead
// fold the same backlog, each from its start, in turns.
func BenchmarkPeers(b *testing.B) {
	r := newReport(b, "Peers: catching up")
	program, peers := buildProjector(b), buildPeers(b)
	s := newPeerStack(b)
	n := publishBacklog(b, s.stack, workload.NewBacklog(1, size(5_000, 500), size(50_000, 4_000)))
	r.add("events", "", float64(n))
	add := func(name string, m measured, ours time.Duration) {
		perEvent := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }
		r.add(name+": committed", "thousand/s", float64(n)/m.took.Seconds()/1000)
		r.add(name+": share of the projector's rate", "%", 100*ours.Seconds()/m.took.Seconds())
		r.add(name+": CPU of all three", "µs/event", perEvent(m.cpu.sum()))
		r.add(name+": CPU of the program", "µs/event", perEvent(m.cpu.projector))
		r.add(name+": CPU of the NATS server", "µs/event", perEvent(m.cpu.nats))
		r.add(name+": CPU of PostgreSQL", "µs/event", perEvent(m.cpu.postgres))
		r.add(name+": WAL", "bytes/event", float64(m.wal)/float64(n))
		r.add(name+": memory of the program, at most", "MiB", float64(m.peak)/(1<<20))
	}
	for b.Loop() {
		for range size(3, 1) {
			s.forget(b)
			ours := s.measure(b, func() (time.Duration, int64) { return s.catchUp(b, program, n) })
			add("projector", ours, ours.took)
			for _, p := range peers {
				s.forgetPeer(b, p)
				add(p.name, s.measure(b, func() (time.Duration, int64) { return s.catchUpPeer(b, p, uint64(n)) }), ours.took)
			}
		}
	}
}

// BenchmarkPeersLive measures how long after the publisher's acknowledgement an event is
// visible in its document, with `projector run` and with each peer, in turns.
func BenchmarkPeersLive(b *testing.B) {
	r := newReport(b, "Peers: from acknowledged to visible")
	program, peers := buildProjector(b), buildPeers(b)
	s := newPeerStack(b)
	ids := publishAccounts(b, s.stack, 200)
	for _, p := range peers {
		s.forgetPeer(b, p)
	}
	seconds := size(5, 2)
	measure := func(name string, w *positionWatcher) {
		for _, perSecond := range []int{100, 500} {
			took := pace(perSecond, perSecond*seconds, func(i int) time.Duration { return timeToVisible(b, s.stack, w, ids[i%len(ids)], i) })
			for _, p := range []float64{0.5, 0.99} {
				r.add(fmt.Sprintf("%s, %d/s: p%.0f", name, perSecond, 100*p), "ms", milliseconds(percentile(took, p)))
			}
		}
	}
	for b.Loop() {
		for range size(3, 1) {
			run := startProcess(b, s.command(program, "run"))
			s.waitProjected(b)
			w, stop := startWatcher(b, s.stack)
			measure("projector", w)
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
				measure(p.name, w)
				stop()
				run.stop(b)
			}
		}
	}
}
