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
	mu       sync.Mutex
	samples  []sample // oldest first
	position uint64   // of the last sample
}

// add adds a look; looks come in order. A position that went back, as after a cut-over to
// a generation that is behind, has no rate.
func (s *series) add(at time.Time, position, lag uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := sample{At: at, Lag: lag}
	if n := len(s.samples); n > 0 && position >= s.position {
		if d := at.Sub(s.samples[n-1].At).Seconds(); d > 0 {
			p.Rate = float64(position-s.position) / d
		}
	}
	s.position = position
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
