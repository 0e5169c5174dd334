package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"accountexport/projections/engine"
)

// lag computes how far this replica is behind the stream. It is computed when it is
// asked for, from the stream's end and the checkpoints as they were learned last, and
// from how long ago that was. So it grows while either server does not answer, without
// anybody reporting anything. Projector.mu guards it.
type lag struct {
	// Set by NewProjector.
	grace time.Duration // how old the knowledge may be; the engine looks at the stream every second
	began time.Time

	end         engine.StreamInfo // as it was learned last
	previousEnd engine.StreamInfo // as it was before: checkpoints have reached it by now, or messages wait
	endKnownAt  time.Time         // when end was learned; zero: never

	checkpoints  map[int]checkpoint // by owned partition
	checkpointAt time.Time          // when one was last written, or read during a pause; zero: never
	owned        int                // partitions; -1: not known yet
	missingSince time.Time          // since when an owned partition has no checkpoint here; zero: all have one

	pause *engine.Pause // nil: none
}

// checkpoint is a partition's.
type checkpoint struct {
	position uint64
	asOf     time.Time
}

// figures are the values of the lag's metrics.
type figures struct {
	events  float64
	seconds float64
	since   time.Time // when end and checkpoints were last known, the older of the two
	known   bool      // false: events and since are meaningless
}

// learned records the stream's end.
func (l *lag) learned(info engine.StreamInfo) {
	l.previousEnd, l.end, l.endKnownAt = l.end, info, time.Now()
}

// setAssigned records how many partitions have to report a checkpoint.
func (l *lag) setAssigned(n int) {
	l.owned = n
	switch {
	case len(l.checkpoints) >= n:
		l.missingSince = time.Time{}
	case l.missingSince.IsZero():
		l.missingSince = time.Now()
	}
}

// figures computes the lag. Partitions without new messages advance only after the
// next look at the stream's end. So what lies beyond a checkpoint counts as waiting
// only from the second look on; before that the replica is behind in name only.
func (l *lag) figures(now time.Time) (f figures) {
	f.since = l.endKnownAt
	if l.checkpointAt.Before(f.since) {
		f.since = l.checkpointAt // the zero time too
	}
	lowest, ok := l.lowest()
	f.known = !f.since.IsZero() && ok
	unknown := now.Sub(f.since)
	switch {
	case !f.known: // nothing was ever learned
		unknown = now.Sub(l.began)
	case !l.missingSince.IsZero() && l.pause == nil:
		unknown = max(unknown, now.Sub(l.missingSince))
	}
	due := l.previousEnd
	if now.Sub(l.endKnownAt) > l.grace || l.pause != nil {
		due = l.end
	}
	if ok && lowest.position < due.Last {
		f.events = float64(l.end.Last - min(l.end.Last, lowest.position))
		f.seconds = max(0, l.end.Time.Sub(lowest.asOf).Seconds()) + now.Sub(l.endKnownAt).Seconds()
	}
	if unknown > l.grace {
		f.seconds = max(f.seconds, unknown.Seconds())
	}
	return f
}

// lowest returns the checkpoint that is furthest behind. If no partition is owned,
// nothing is waited for, and it is the stream's end. ok is false if no checkpoint is
// known.
func (l *lag) lowest() (lowest checkpoint, ok bool) {
	if l.pause != nil {
		return checkpoint{l.pause.Lowest, l.pause.AsOf}, true
	}
	if l.owned == 0 {
		return checkpoint{position: l.end.Last, asOf: l.end.Time}, true
	}
	for _, r := range l.checkpoints {
		if !ok || r.position < lowest.position {
			lowest, ok = r, true
		}
	}
	return lowest, ok
}

var (
	lagEvents = prometheus.NewDesc("projector_lag_events",
		"The stream's last sequence less the lowest checkpoint of the partitions that this replica owns, as far as projector_lag_known_timestamp_seconds; while projecting is paused, of all.", nil, nil)
	lagSeconds = prometheus.NewDesc("projector_lag_seconds",
		"How long the oldest message has waited that may wait, or how long the stream's end or the checkpoints could not be learned; 0 where nothing waits. It grows while the database or NATS stands still.", nil, nil)
	lagKnown = prometheus.NewDesc("projector_lag_known_timestamp_seconds",
		"When the stream's end and the checkpoints were known last, the older of the two.", nil, nil)
)
