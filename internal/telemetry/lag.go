package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"accountexport/projections/engine"
)

// lag is how far behind the stream this replica is. It is worked out when it is
// asked for, from what was learned last of the stream's end and of the
// checkpoints and from how long ago that was: so it grows while either server
// stands still, and nobody has to be told anything for it to grow.
type lag struct {
	grace time.Duration // so old what is known may be; a look at the stream takes place every second
	began time.Time

	end         engine.StreamInfo  // as it was learned last
	due         engine.StreamInfo  // and before: the checkpoints are there by now, or messages wait
	looked      time.Time          // when it was learned; zero: never
	written     time.Time          // when a checkpoint was learned last, by writing it or, paused, by reading it; zero: never
	checkpoints map[int]checkpoint // checkpoints of owned partitions
	owned       int                // partitions; -1: not known yet
	lacking     time.Time          // since when a partition has not told where it is; zero: all have
	pause       *engine.Pause      // that holds all of them up
}

type checkpoint struct {
	position uint64
	asOf     time.Time
}

// figures are what there is to say of the lag.
type figures struct {
	events  float64
	seconds float64
	since   time.Time // when end and checkpoints were known last, the older of the two
	known   bool      // false: neither events nor since is
}

// learned is told of the stream's end.
func (l *lag) learned(info engine.StreamInfo) {
	l.due, l.end, l.looked = l.end, info, time.Now()
}

// setAssigned is told how many partitions there are to tell where they are.
func (l *lag) setAssigned(n int) {
	l.owned = n
	switch {
	case len(l.checkpoints) >= n:
		l.lacking = time.Time{}
	case l.lacking.IsZero():
		l.lacking = time.Now()
	}
}

// figures works out the lag. Partitions without a message are moved on only after
// a look at the stream's end, so what is beyond a checkpoint counts as waiting
// from the look after: until then it is behind by name only.
func (l *lag) figures(now time.Time) (f figures) {
	f.since = l.looked
	if l.written.Before(f.since) {
		f.since = l.written // also where that is never
	}
	low, there := l.lowest()
	f.known = !f.since.IsZero() && there
	unknown := now.Sub(f.since)
	switch {
	case !f.known: // nothing was learned at all
		unknown = now.Sub(l.began)
	case !l.lacking.IsZero() && l.pause == nil:
		unknown = max(unknown, now.Sub(l.lacking))
	}
	due := l.due
	if now.Sub(l.looked) > l.grace || l.pause != nil {
		due = l.end
	}
	if there && low.position < due.Last {
		f.events = float64(l.end.Last - min(l.end.Last, low.position))
		f.seconds = max(0, l.end.Time.Sub(low.asOf).Seconds()) + now.Sub(l.looked).Seconds()
	}
	if unknown > l.grace {
		f.seconds = max(f.seconds, unknown.Seconds())
	}
	return f
}

// lowest is the checkpoint furthest behind of those there are; there is none to
// wait for where no partition is owned.
func (l *lag) lowest() (low checkpoint, there bool) {
	if l.pause != nil {
		return checkpoint{l.pause.Lowest, l.pause.AsOf}, true
	}
	if l.owned == 0 {
		return checkpoint{position: l.end.Last, asOf: l.end.Time}, true
	}
	for _, r := range l.checkpoints {
		if !there || r.position < low.position {
			low, there = r, true
		}
	}
	return low, there
}

var (
	lagEvents = prometheus.NewDesc("projector_lag_events",
		"The stream's last sequence less the lowest checkpoint of the partitions that this replica owns, as far as projector_lag_known_timestamp_seconds; while projecting is paused, of all.", nil, nil)
	lagSeconds = prometheus.NewDesc("projector_lag_seconds",
		"How long the oldest message has waited that may wait, or how long the stream's end or the checkpoints could not be learned; 0 where nothing waits. It grows while the database or NATS stands still.", nil, nil)
	lagKnown = prometheus.NewDesc("projector_lag_known_timestamp_seconds",
		"When the stream's end and the checkpoints were known last, the older of the two.", nil, nil)
)
