package acts

import (
	"errors"
	"time"

	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// Status is how far the live generation is, and how it goes on. All of the read
// model is as of one moment, and the stream as of one after it.
type Status struct {
	admin.Overview
	Stream     engine.StreamInfo
	Refused    error // why `projector run` would refuse the stream; nil where it would go on
	Unreadable error // what keeps one more reader from the stream

	// Comparable is false where the stream is another than was folded, or has lost
	// its end: its positions, and so its end, say nothing of the checkpoints then.
	Comparable bool
	Position   uint64 // the lowest checkpoint
	Lag        uint64 // the stream's end less Position; 0 where they are not comparable

	Progressing bool          // not behind, or seen to move
	Rate        float64       // positions a second that Position moves on by; 0 where it was not measured
	Left        time.Duration // until the end is reached as it now draws near; 0 where it does not, or is not known
}

// place finds where the checkpoints are in the stream.
func (s *Status) place() {
	var highest uint64
	for i, c := range s.Partitions {
		if i == 0 || c.Position < s.Position {
			s.Position = c.Position
		}
		highest = max(highest, c.Position)
	}
	if s.Comparable = !unlike(s.Stream, s.Generation.Stream, highest, s.Refused); s.Comparable {
		s.Lag = s.Stream.Last - s.Position
	}
	s.Progressing = s.Lag == 0
}

// Behind is how many positions of the stream are beyond a checkpoint.
func (s *Status) Behind(c engine.Checkpoint) uint64 {
	if !s.Comparable {
		return 0
	}
	return s.Stream.Last - c.Position
}

// undecided tells whether another look may show more: whether it moves.
func (s *Status) undecided() bool { return s.Lag > 0 && s.Refused == nil && s.Pause == nil }

// measured tells whether it has moved on since another look, long enough ago.
func (s *Status) measured(since *Status) bool {
	return s.Position > since.Position && s.At.Sub(since.At) >= rateOver
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

// ReadersBlocked tells whether `run` could not read the stream. Where only as many
// read it as may, and replicas live, those are they.
func (s *Status) ReadersBlocked() bool {
	return s.Unreadable != nil && !(errors.Is(s.Unreadable, stream.ErrMaxConsumers) && len(s.Members) > 0)
}

// Unhealthy tells whether somebody has to see to it, though `run` would not refuse:
// it is behind and does not progress, and not since it is paused; nobody can read
// the stream; or accounts are served that the ledger of erasures has as erased.
func (s *Status) Unhealthy() bool {
	return s.Lag > 0 && !s.Progressing && s.Pause == nil || s.ReadersBlocked() || s.ErasedServed > 0
}
