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
	Took       time.Duration // how long the transaction took
	Counts     map[projections.TypeOutcome]int64
	Advances   []Advance   // the checkpoints that it has moved
	Times      []time.Time // the stream's timestamp of each event
	Parked     map[ParkedKind]int64
}

// ParkedKind is the kind of reason for which messages were parked. It has no payload
// and names no account, so it can be a metric's label.
type ParkedKind struct {
	Type   string // a type of the contract, without its controlplane. prefix, or "other"
	Reason string // without the values found, see [events.MaskReason]
}

// stats adds up what the batch has of each partition.
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
		if events.Known(m.Type) { // messages can carry any type, and labels have to be few
			kind.Type = events.ShortType(m.Type)
		}
		s.Parked[kind]++
	}
	return s
}

// Observer is told what a projector does, for metrics and logs. Its methods are
// called from several goroutines, also at the same time, and must not block.
type Observer interface {
	// Committed is called after a batch is stored. Every message is in exactly one
	// batch. Lanes commit, and call it, independently of each other.
	Committed(BatchStats)
	// StreamEnd is called with every lag sample.
	StreamEnd(StreamInfo)
	// Assigned is called after every heartbeat: this replica is live, and owns
	// these partitions.
	Assigned(generation int64, partitions []int)
	// Paused is called again and again while projecting is paused, with how far it
	// had come and with what the stream says, which has no name where the stream
	// could not be asked. It is called with nil once projecting is resumed.
	Paused(*Pause, StreamInfo)
	// Restarted is called when an error makes the projector resume at its
	// checkpoints.
	Restarted(Failure)
}

type nopObserver struct{}

func (nopObserver) Committed(BatchStats)      {}
func (nopObserver) StreamEnd(StreamInfo)      {}
func (nopObserver) Assigned(int64, []int)     {}
func (nopObserver) Paused(*Pause, StreamInfo) {}
func (nopObserver) Restarted(Failure)         {}
