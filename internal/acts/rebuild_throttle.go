package acts

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// throttle is a source that is read at a limited rate, and pauses while shouldYield
// says so.
type throttle struct {
	engine.Source
	limit       *rate.Limiter // nil for no limit
	shouldYield func() bool
}

func newThrottle(s engine.Source, perSecond int, shouldYield func() bool) *throttle {
	t := &throttle{Source: s, shouldYield: shouldYield}
	if perSecond > 0 {
		t.limit = rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/10))
	}
	return t
}

// Open implements [engine.Source].
func (t *throttle) Open(ctx context.Context, after uint64) (engine.Reader, error) {
	r, err := t.Source.Open(ctx, after)
	if err != nil {
		return nil, err
	}
	return t.reader(r), nil
}

// reader limits another reader together with those of the source.
func (t *throttle) reader(r engine.Reader) engine.Reader { return &throttled{Reader: r, throttle: t} }

// maxYield is how long reading pauses before it goes on for a moment.
const maxYield = 10 * time.Second

type throttled struct {
	engine.Reader
	*throttle
	checked time.Time
}

// Next implements [engine.Reader].
func (r *throttled) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	// The pause has an end: what made shouldYield say so may have another cause than
	// this.
	for began := time.Now(); time.Since(r.checked) > time.Second && time.Since(began) < maxYield && r.shouldYield(); {
		select {
		case <-ctx.Done():
			return buf, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	if time.Since(r.checked) > time.Second {
		r.checked = time.Now()
	}
	if r.limit != nil {
		bound.Events = min(bound.Events, r.limit.Burst())
	}
	before := len(buf)
	buf, err := r.Reader.Next(ctx, buf, bound)
	if err != nil || r.limit == nil {
		return buf, err
	}
	return buf, r.limit.WaitN(ctx, len(buf)-before)
}

// A read is too slow where it takes more than slowFactor times what it takes at its
// best, and slowMargin.
const (
	slowFactor = 4
	slowMargin = 40 * time.Millisecond
)

// latencyBaseline tells whether reads take longer than at their best, which it learns:
// a database that is far away is not slow for that. The best is that of the last
// minutes, so that a database that has moved further away, or that answered quickly
// once by chance, is measured by what it is now.
type latencyBaseline struct {
	best   [5]time.Duration // the shortest read of each of five minutes; 0 where there was none
	minute [5]int64         // which minute that was
}

// slow records how long a read took, and tells whether that is too slow.
func (s *latencyBaseline) slow(now time.Time, took time.Duration) bool {
	minute := now.Unix() / 60
	i := minute % int64(len(s.best))
	if s.minute[i] != minute || took < s.best[i] {
		s.minute[i], s.best[i] = minute, max(took, 1)
	}
	best := took
	for i, b := range s.best {
		if b > 0 && minute-s.minute[i] < int64(len(s.best)) {
			best = min(best, b)
		}
	}
	return took > slowFactor*best+slowMargin
}
