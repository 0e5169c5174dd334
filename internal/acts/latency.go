package acts

import "time"

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
