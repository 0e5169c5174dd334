package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/projections/engine"
)

// BenchmarkMoves measures the time from acknowledged to visible, at 300 events a second over 200
// accounts, while a second replica joins and leaves every two seconds, so that half of the
// partitions move each time, against the same without moves.
func BenchmarkMoves(b *testing.B) {
	perSecond, seconds := 300, size(12, 6)
	r := newReport(b, "From acknowledged to visible, while partitions move")
	s := newStack(b)
	ids := publishAccounts(b, s, 200)
	stop := s.run(b, engine.Options{})
	defer stop()
	s.waitProjected(b)
	w, _ := startWatcher(b, s)
	measure := func() []time.Duration {
		return pace(perSecond, perSecond*seconds, func(i int) time.Duration { return timeToVisible(b, s, w, ids[i%len(ids)], i) })
	}
	for b.Loop() {
		still := measure()
		end, ended := make(chan struct{}), make(chan int)
		go func() {
			ticker := time.NewTicker(2 * time.Second)
			defer ticker.Stop()
			var leave func()
			moves := 0
			for i := 0; ; i++ {
				select {
				case <-ticker.C:
				case <-end:
					if leave != nil {
						leave()
					}
					ended <- moves
					return
				}
				moves++
				if leave == nil {
					leave = s.runAs(b, fmt.Sprint("second ", i), engine.Options{})
				} else {
					leave()
					leave = nil
				}
			}
		}()
		moving := measure()
		close(end)
		moves := <-ended
		show := func(what string, t []time.Duration) {
			r.add(what+": p50", "ms", milliseconds(percentile(t, 0.5)))
			r.add(what+": p99", "ms", milliseconds(percentile(t, 0.99)))
			r.add(what+": longest", "ms", milliseconds(percentile(t, 1)))
		}
		show("nothing moving", still)
		show("half of the partitions moving", moving)
		r.add("moves", "", float64(moves))
		r.add("p50 over that without moves", "×", percentile(moving, 0.5).Seconds()/percentile(still, 0.5).Seconds())
	}
}
