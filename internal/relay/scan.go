package relay

import "time"

// scan says from which number on to look for what waits. Rows become visible when
// their transaction commits, and so not in the order of their numbers: one of a
// transaction that was open for long comes far behind what is published. But where
// the rows before cannot be vacuumed, as long as somebody has an old transaction open,
// passing over those that are removed takes the longer the more there are. So it
// mostly looks from what was the highest number some seconds ago, which finds
// all but such late ones, and once a second from the start, unless that takes too much
// of its time.
type scan struct {
	highest int64 // seen
	recent  int64 // the highest as of since
	older   int64 // the highest half a minute before at most
	since   time.Time

	whole time.Time     // when it last looked from the start
	took  time.Duration // and for how long
}

const (
	lateAfter  = 5 * time.Second // what commits later is found by looking from the start
	wholeEvery = time.Second
	wholeShare = 20 // looking from the start takes at most one part in so many of the time
)

// from is the number after which to look now.
func (s *scan) from(now time.Time) int64 {
	if now.Sub(s.since) > lateAfter {
		s.older, s.recent, s.since = s.recent, s.highest, now
	}
	if now.Sub(s.whole) > max(wholeEvery, wholeShare*s.took) {
		return 0
	}
	return s.older
}

// scanned is told what was looked at, and how long it took.
func (s *scan) scanned(after int64, took time.Duration) {
	if after == 0 {
		s.whole, s.took = time.Now(), took
	}
}

// saw is told of a number that was seen.
func (s *scan) saw(seq int64) { s.highest = max(s.highest, seq) }

// reset has it look from the start next.
func (s *scan) reset() { *s = scan{highest: s.highest} }
