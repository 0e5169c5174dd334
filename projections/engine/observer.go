package engine

import (
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// BatchStats describe one committed batch.
type BatchStats struct {
	Generation int64
	Events     int
	Took       time.Duration // from the start of the transaction to its end
	Counts     map[projections.TypeOutcome]int64
	Advances   []Advance
	Times      []time.Time // the stream's timestamp of each event
	Parked     map[ParkedKind]int64
}

// ParkedKind is what messages that were parked have in common: nothing that tells
// of anybody.
type ParkedKind struct {
	Type   string // a known one, without controlplane., or "other"
	Reason string // masked, see [events.MaskReason]
}

func (b *committedBatch) stats(generation int64) BatchStats {
	s := BatchStats{Generation: generation, Events: b.events, Took: b.took, Counts: map[projections.TypeOutcome]int64{}, Advances: b.advances}
	for _, t := range b.touched {
		for k, n := range t.counts {
			s.Counts[k] += n
		}
		s.Times = append(s.Times, t.times...)
	}
	if len(b.parked) > 0 {
		s.Parked = map[ParkedKind]int64{}
	}
	for _, m := range b.parked {
		kind := ParkedKind{projections.OtherType, events.MaskReason(m.Reason)}
		if events.Known(m.Type) { // there is no end to those that messages may have
			kind.Type = events.ShortType(m.Type)
		}
		s.Parked[kind]++
	}
	return s
}

// Observer is told what a projector does. Its methods must not block.
type Observer interface {
	// Committed: a batch is in the store. Every message is in exactly one.
	Committed(BatchStats)
	// HighWaterMark: the server was asked for the stream's end.
	HighWaterMark(StreamInfo)
	// Assigned: this replica is a live one, and owns these partitions.
	Assigned(generation int64, partitions []int)
	// Paused: nothing is folded until an operator ends it; how far it is, and what
	// the stream says, without a name where it could not be asked. Told again and
	// again, and in the end with nil.
	Paused(*Pause, StreamInfo)
	// Restarted: an error made the projector begin again at its checkpoint.
	Restarted(reason string)
}

type nopObserver struct{}

func (nopObserver) Committed(BatchStats)      {}
func (nopObserver) HighWaterMark(StreamInfo)  {}
func (nopObserver) Assigned(int64, []int)     {}
func (nopObserver) Paused(*Pause, StreamInfo) {}
func (nopObserver) Restarted(string)          {}
