package console

import (
	"context"
	"sync"
	"time"

	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// buildView is how far the generation is that is being built.
type buildView struct {
	Number  int64   `json:"generation"`
	At      uint64  `json:"at"` // the mean of its checkpoints: how much of the stream is folded
	End     uint64  `json:"of"`
	Rate    float64 `json:"rate"`         // positions a second; 0 where it was not measured
	Left    float64 `json:"seconds_left"` // at that rate; 0 where it is not known
	Running bool    `json:"running"`      // a program builds it; false: it was abandoned, or waits to be cut over to
	Ready   bool    `json:"ready"`        // it is near the end, so it can be cut over to
}

// Percent is how far it is, for people.
func (b *buildView) Percent() int {
	if b.End == 0 {
		return 0
	}
	return int(min(100, b.At*100/b.End))
}

// TimeLeft is how long it takes yet.
func (b *buildView) TimeLeft() time.Duration { return time.Duration(b.Left * float64(time.Second)) }

func (c *Console) buildingOf(g admin.GenerationStatus, end uint64, found generationsFound) *buildView {
	b := &buildView{Number: g.Number, At: g.Mean, End: max(end, g.Mean), Running: found.running}
	b.Ready = end > 0 && g.Position+acts.EndDistance >= end // as a rebuild itself has it
	if found.running {
		if b.Rate = c.building.rate(g.Number); b.Rate > 0 && b.End > b.At {
			b.Left = float64(b.End-b.At) / b.Rate
		}
	}
	return b
}

// buildSeries is how far the generation that is being built was in the last looks. It is
// safe for concurrent use.
type buildSeries struct {
	mu     sync.Mutex
	number int64
	points []buildPoint // oldest first
}

type buildPoint struct {
	at   time.Time
	mean uint64
}

// buildWindow is over how long the rate of a rebuild is measured.
const buildWindow = 20 * time.Second

// add adds what a look has found; looks come in order. Another generation, or one that is
// begun anew, is measured from its first look.
func (s *buildSeries) add(at time.Time, b *admin.BuildStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b == nil || !b.Running {
		s.number, s.points = 0, nil
		return
	}
	if n := len(s.points); b.Number != s.number || n > 0 && b.Mean < s.points[n-1].mean {
		s.number, s.points = b.Number, nil
	}
	s.points = append(s.points, buildPoint{at, b.Mean})
	for len(s.points) > 2 && at.Sub(s.points[0].at) > buildWindow {
		s.points = s.points[1:]
	}
}

// rate is how many positions a second a generation is built by; 0 where it is not known.
func (s *buildSeries) rate(number int64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number != number || len(s.points) < 2 {
		return 0
	}
	first, last := s.points[0], s.points[len(s.points)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(last.mean-first.mean) / seconds
}

// generationsLook reads what the screens of generations show once for each look of the
// hub, however many pages follow them, and not at all while none does.
type generationsLook struct {
	mu    sync.Mutex
	of    *look
	found generationsFound
}

func (s *generationsLook) read(l *look, read func(context.Context) generationsFound) generationsFound {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of != l {
		s.of, s.found = l, read(context.Background())
	}
	return s.found
}

// latestGenerations is what the last look has.
func (c *Console) latestGenerations() (*generationsView, error) {
	l := c.lastLook()
	if l == nil {
		return nil, errWaiting
	}
	return c.generationsOf(l, c.generationsSeen.read(l, c.readGenerations)), nil
}

// liveGenerations is the part of the screen of all generations that follows what happens.
func (c *Console) liveGenerations(string) ([]byte, error) {
	v, err := c.latestGenerations()
	if err != nil {
		return nil, err
	}
	return c.render("live generations", v)
}

// liveGeneration is that of one of them.
func (c *Console) liveGeneration(number string) ([]byte, error) {
	v, err := c.latestGenerations()
	if err != nil {
		return nil, err
	}
	one, err := c.singleGeneration(v, number)
	if err != nil && v.Failed == "" {
		return c.render("generation gone", number)
	}
	if err != nil {
		return nil, err
	}
	return c.render("live generation", one)
}
