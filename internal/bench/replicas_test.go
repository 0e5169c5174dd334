package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
)

// BenchmarkReplicas measures `projector run` as one, two and four processes, and with one to eight
// lanes each: how fast they catch up together, how soon an event is visible under a given number
// of events a second, what one more of them costs the servers, and up to which rate one PostgreSQL
// takes it all. All of it, and the publisher, share the cores of one machine: what a team learns
// from it is the shape, and, run on its own machines, the numbers.
func BenchmarkReplicas(b *testing.B) {
	program := buildProjector(b)
	b.Run("catchup", func(b *testing.B) {
		r := newReport(b, "Replicas: catching up")
		s := newMeteredStack(b)
		n := publishBacklog(b, s.stack, workload.NewBacklog(1, size(10_000, 2_000), size(200_000, 40_000)))
		for _, replicas := range pick([]int{1, 2, 4}, []int{1, 2}) {
			for _, lanes := range pick([]int{1, 2, 4, 8}, []int{1, 4}) {
				s.forget(b)
				since := s.meter(b)
				all := s.startReplicas(b, program, replicas, lanes)
				s.waitReached(b, uint64(n))
				u := since.read(b, all)
				what := form(replicas, lanes)
				r.add(what+": committed", "thousand/s", float64(n)/u.took.Seconds()/1000)
				r.add(what+": CPU of all", "µs/event", u.cpu.sum().Seconds()*1e6/float64(n))
				r.add(what+": NATS bytes out", "bytes/event", u.natsOut/float64(n))
				r.add(what+": commits", "", u.commits)
				stopReplicas(b, all)
			}
		}
	})
	b.Run("idle", func(b *testing.B) {
		r := newReport(b, "Replicas: what they cost with nothing to do")
		s := newMeteredStack(b)
		publishAccounts(b, s.stack, 20)
		for _, replicas := range pick([]int{0, 1, 2, 4}, []int{0, 1, 2}) {
			all := s.startReplicas(b, program, replicas, 0)
			if replicas > 0 {
				s.waitProjected(b)
				s.awaitShared(b, replicas)
				time.Sleep(time.Second) // what is done once at start
			}
			since := s.meter(b, all...)
			time.Sleep(time.Duration(size(12, 5)) * time.Second)
			since.read(b, all).addTo(r, form(replicas, 0))
			stopReplicas(b, all)
		}
	})
	b.Run("live", func(b *testing.B) {
		r := newReport(b, "Replicas: acknowledged to visible, under so many events a second")
		s := newMeteredStack(b)
		ids := publishAccounts(b, s.stack, 200)
		for _, of := range []struct{ replicas, lanes int }{{1, 1}, {1, 2}, {1, 4}, {1, 8}, {2, 0}, {4, 0}}[:size(6, 2)] {
			all := s.startReplicas(b, program, of.replicas, of.lanes)
			s.waitProjected(b)
			s.awaitShared(b, of.replicas)
			for _, rate := range pick([]int{100, 1_000, 10_000}, []int{100, 2_000}) {
				s.flow(b, ids, rate, time.Second/2) // warm
				since := s.meter(b, all...)
				f := s.flow(b, ids, rate, time.Duration(size(4000, 2000))*time.Millisecond)
				u := since.read(b, all)
				what := fmt.Sprintf("%d/s, %s", rate, form(of.replicas, of.lanes))
				r.add(what+": visible p50", "ms", milliseconds(percentile(f.visible, 0.5)))
				r.add(what+": visible p99", "ms", milliseconds(percentile(f.visible, 0.99)))
				r.add(what+": not published in time", "%", 100*f.unpublished)
				r.add(what+": not visible at the end", "events", float64(f.behind))
				u.addTo(r, what)
			}
			stopReplicas(b, all)
		}
	})
	b.Run("ceiling", func(b *testing.B) {
		r := newReport(b, "Replicas: where one PostgreSQL's writing ends")
		s := newMeteredStack(b)
		ids := publishAccounts(b, s.stack, size(2_000, 200))
		all := s.startReplicas(b, program, 2, 0)
		s.waitProjected(b)
		s.awaitShared(b, 2)
		greatest := 0.0
		for _, rate := range pick([]int{1_000, 2_000, 4_000, 8_000, 16_000, 32_000}, []int{1_000, 4_000}) {
			since := s.meter(b, all...)
			f := s.flow(b, ids, rate, time.Duration(size(5000, 2000))*time.Millisecond)
			u := since.read(b, all)
			what := fmt.Sprintf("%d/s", rate)
			r.add(what+": published", "events/s", f.rate)
			r.add(what+": not visible at the end", "events", float64(f.behind))
			r.add(what+": visible p99", "ms", milliseconds(percentile(f.visible, 0.99)))
			u.addTo(r, what)
			// Bounded: at the end no more is behind than is published in half a second.
			if float64(f.behind) < f.rate/2 && f.rate > greatest {
				greatest = f.rate
			}
		}
		r.add("greatest rate at which the lag stays bounded", "events/s", greatest)
		stopReplicas(b, all)
	})
}

// form is how figures of so many replicas and lanes are called.
func form(replicas, lanes int) string {
	if lanes == 0 {
		return fmt.Sprintf("replicas=%d", replicas)
	}
	return fmt.Sprintf("replicas=%d lanes=%d", replicas, lanes)
}

// startReplicas starts so many projectors; with 0 lanes each has as many as it has by default.
func (s *meteredStack) startReplicas(b *testing.B, program string, replicas, lanes int) (all []*replica) {
	b.Helper()
	for range replicas {
		all = append(all, startReplica(b, s.stack, program, fmt.Sprint("LANES=", lanes), "AUDIT_RATE=0"))
	}
	return all
}

func stopReplicas(b *testing.B, all []*replica) {
	b.Helper()
	for _, r := range all {
		r.stop(b)
	}
}

// change is a change of an account's name.
func change(account events.UUID, i int) (events.Message, error) {
	return events.NewUserProfileUpdated(newMeta(fmt.Sprintf("change-%d-%d", time.Now().UnixNano(), i)), account,
		events.UserProfileUpdated{Name: events.Some(fmt.Sprintf("name %d", i))})
}
