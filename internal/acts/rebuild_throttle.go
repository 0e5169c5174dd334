package acts

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// throttle is a source that is read at a bounded rate, and not at all while
// somebody else suffers.
type throttle struct {
	engine.Source
	limit   *rate.Limiter // nil: none
	suffers func() bool
}

func newThrottle(s engine.Source, perSecond int, suffers func() bool) *throttle {
	t := &throttle{Source: s, suffers: suffers}
	if perSecond > 0 {
		t.limit = rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/10))
	}
	return t
}

// Open implements [engine.Source].
func (t *throttle) Open(ctx context.Context, after uint64) (engine.Reader, error) {
	r, err := t.Source.Open(ctx, after)
	return &throttled{Reader: r, throttle: t}, err
}

// giveWayAtMost is how long reading pauses before it goes on for a moment.
const giveWayAtMost = 10 * time.Second

type throttled struct {
	engine.Reader
	*throttle
	looked time.Time
}

// Next implements [engine.Reader].
func (r *throttled) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	// Not for ever: who suffers may do so for another reason.
	for began := time.Now(); time.Since(r.looked) > time.Second && time.Since(began) < giveWayAtMost && r.suffers(); {
		select {
		case <-ctx.Done():
			return buf, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
	if time.Since(r.looked) > time.Second {
		r.looked = time.Now()
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

// A read is too slow where it takes more than so many times what it takes at its
// best, and a moment.
const (
	tooSlow       = 4
	tooSlowMoment = 40 * time.Millisecond
)

// latencyBaseline tells whether reads take longer than at their best, which is learned
// from them: a database that is far away is not slow by being there. The best
// is of the last minutes, so that one that has come to be further away, or whose
// one quick answer was none, is judged by what it is.
type latencyBaseline struct {
	best [5]time.Duration // by minute; 0: none was made in it
	of   [5]int64         // which minute
}

// is takes note of a read that took so long, and tells whether that is too long.
func (s *latencyBaseline) is(now time.Time, took time.Duration) bool {
	minute := now.Unix() / 60
	i := minute % int64(len(s.best))
	if s.of[i] != minute || took < s.best[i] {
		s.of[i], s.best[i] = minute, max(took, 1)
	}
	best := took
	for i, b := range s.best {
		if b > 0 && minute-s.of[i] < int64(len(s.best)) {
			best = min(best, b)
		}
	}
	return took > tooSlow*best+tooSlowMoment
}
