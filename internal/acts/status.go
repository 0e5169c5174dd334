package acts

import (
	"errors"
	"time"

	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// Status is how far the live generation is, and how fast it progresses. All of the read
// model is as of one moment, and the stream as of a later one.
type Status struct {
	admin.Overview
	Stream     engine.StreamInfo
	Refused    error // why `projector run` would refuse the stream; nil where it would go on
	Unreadable error // what keeps one more reader from the stream; nil for nothing

	// Comparable is false where the stream is another than the one that was folded, or
	// has lost its end: its positions say nothing about the checkpoints then.
	Comparable bool
	Position   uint64 // the lowest checkpoint
	Lag        uint64 // the end of the stream less Position; 0 where they are not comparable

	Progressing bool    // it is at the end, or a checkpoint was seen to move
	Rate        float64 // positions a second; 0 where it was not measured
	// until the end is reached at the present rate; 0 where that is not known, or the
	// end does not come nearer
	Left time.Duration
}

// locate sets Position, Comparable, Lag and Progressing.
func (s *Status) locate() {
	var highest uint64
	for i, c := range s.Partitions {
		if i == 0 || c.Position < s.Position {
			s.Position = c.Position
		}
		highest = max(highest, c.Position)
	}
	if s.Comparable = !incomparable(s.Stream, s.Generation.Stream, highest, s.Refused); s.Comparable {
		s.Lag = s.Stream.Last - s.Position
	}
	s.Progressing = s.Lag == 0
}

// Behind is how many positions of the stream are after a checkpoint.
func (s *Status) Behind(c engine.Checkpoint) uint64 {
	if !s.Comparable {
		return 0
	}
	return s.Stream.Last - c.Position
}

// undecided tells whether polling again may show that it progresses.
func (s *Status) undecided() bool { return s.Lag > 0 && s.Refused == nil && s.Pause == nil }

// measured tells whether it has moved since another poll, and that was long enough ago
// for a rate.
func (s *Status) measured(since *Status) bool {
	return s.Position > since.Position && s.At.Sub(since.At) >= rateWindow
}

func (s *Status) measure(since *Status) {
	if s.Position <= since.Position {
		return
	}
	s.Progressing = true
	seconds := s.At.Sub(since.At).Seconds()
	if s.Lag == 0 || seconds <= 0 {
		return
	}
	s.Rate = float64(s.Position-since.Position) / seconds
	if since.Lag > s.Lag {
		s.Left = time.Duration(float64(s.Lag) / float64(since.Lag-s.Lag) * seconds * float64(time.Second))
	}
}

// ReadersBlocked tells whether `projector run` could not read the stream. Where the
// only reason is that the stream has as many consumers as it may, and replicas are
// alive, the consumers are theirs.
func (s *Status) ReadersBlocked() bool {
	return s.Unreadable != nil && !(errors.Is(s.Unreadable, stream.ErrMaxConsumers) && len(s.Members) > 0)
}

// Unhealthy tells whether somebody has to act although `projector run` would not
// refuse: the generation is behind and makes no progress, and is not paused; nobody can
// read the stream; or accounts are served that are on the ledger of erasures.
func (s *Status) Unhealthy() bool {
	return s.Lag > 0 && !s.Progressing && s.Pause == nil || s.ReadersBlocked() || s.ErasedServed > 0
}
