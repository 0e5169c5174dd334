package acts

import (
	"testing"
	"time"
)

// TestReadsAreHeldAgainstTheirBest: a rebuild pauses where reads are slower than they
// can be, wherever the database is, and measures a database that has changed for good
// by what it is now.
func TestReadsAreHeldAgainstTheirBest(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, reads := range map[string][]struct {
		at   time.Duration // since the start
		took time.Duration
		slow bool
	}{
		"a database that is near": {{0, 2 * ms, false}, {time.Second, 1 * ms, false}, {2 * time.Second, 30 * ms, false},
			{3 * time.Second, 60 * ms, true}, {4 * time.Second, 2 * ms, false}, {5 * time.Second, time.Second, true}},
		"one that is 20 ms away, for each of three answers": {{0, 62 * ms, false}, {time.Second, 60 * ms, false}, {2 * time.Second, 90 * ms, false},
			{time.Minute, 250 * ms, false}, {61 * time.Second, 300 * ms, true}, {2 * time.Minute, 70 * ms, false}},
		"slow from the start, and then not": {{0, 500 * ms, false}, {time.Second, 600 * ms, false}, {2 * time.Second, 5 * ms, false}, {3 * time.Second, 500 * ms, true}},
		"further away for good": {{0, 1 * ms, false}, {time.Minute, 100 * ms, true}, {2 * time.Minute, 100 * ms, true},
			{4 * time.Minute, 100 * ms, true}, {5 * time.Minute, 100 * ms, false}, {6 * time.Minute, 110 * ms, false}, {7 * time.Minute, 500 * ms, true}},
		"nothing was read for long": {{0, 1 * ms, false}, {time.Hour, 100 * ms, false}, {time.Hour + time.Second, 50 * ms, false}, {time.Hour + 2*time.Second, 300 * ms, true}},
		"a minute is its best":      {{0, 50 * ms, false}, {time.Second, 3 * ms, false}, {2 * time.Second, 60 * ms, true}, {4 * time.Minute, 60 * ms, true}},
	} {
		var s latencyBaseline
		start := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
		for _, r := range reads {
			if slow := s.slow(start.Add(r.at), r.took); slow != r.slow {
				t.Errorf("%s: a read of %v after %v is slow: %v, want %v", name, r.took, r.at, slow, r.slow)
			}
		}
	}
}
