package console

import (
	"sync"
	"time"
)

// seriesLength is how far back plots go.
const seriesLength = 15 * time.Minute

// sample is one point of the plots.
type sample struct {
	At   time.Time `json:"at"`
	Lag  uint64    `json:"lag_events"`
	Rate float64   `json:"rate"` // positions a second, since the sample before
}

// series is how lag and rate were over the last quarter of an hour. What was not looked at
// is a gap. It is safe for concurrent use.
type series struct {
	mu         sync.Mutex
	samples    []sample // oldest first
	generation int64    // of the last sample
	position   uint64   // of the last sample
}

// add adds a look; looks come in order. The first of a generation has no rate: what it is
// ahead of the one before was not folded between the two looks. Nor has a position that
// went back.
func (s *series) add(at time.Time, generation int64, position, lag uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := sample{At: at, Lag: lag}
	if n := len(s.samples); n > 0 && generation == s.generation && position >= s.position {
		if d := at.Sub(s.samples[n-1].At).Seconds(); d > 0 {
			p.Rate = float64(position-s.position) / d
		}
	}
	s.generation, s.position = generation, position
	s.samples = append(s.samples, p)
	oldest := 0
	for oldest < len(s.samples) && at.Sub(s.samples[oldest].At) > seriesLength {
		oldest++
	}
	s.samples = append(s.samples[:0:0], s.samples[oldest:]...)
}

// all are the samples that there are, oldest first.
func (s *series) all() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sample(nil), s.samples...)
}
