package engine

import (
	"testing"

	"accountexport/events"
	"accountexport/projections"
)

// TestPartitionsFromDifferentLanesKeepTheirOwnPace puts two partitions into one lane that
// were in different ones. The checkpoint of the one that is behind must not be moved to
// the other's position before its own messages are folded.
func TestPartitionsFromDifferentLanesKeepTheirOwnPace(t *testing.T) {
	l := newLane(nil, Ownership{Generation: 1},
		[]Checkpoint{{Partition: 0, Position: 100, Epoch: 1}, {Partition: 1, Position: 50, Epoch: 1}}, Bound{1000, 1 << 20}, 1<<20)
	m := projections.Message{Position: 60, Partition: 1, Message: events.Message{Subject: "controlplane.nobody.x"}}
	if err := l.fold(t.Context(), laneInput{messages: []projections.Message{m}, upTo: 60}); err != nil {
		t.Fatal(err)
	}
	for _, a := range l.advances() {
		if a.Partition != 1 || a.From != 50 || a.To != 60 {
			t.Errorf("touched: %+v, want partition 1 from 50 to 60", a)
		}
	}
	if err := l.fold(t.Context(), laneInput{upTo: 70, advanceAll: true}); err != nil {
		t.Fatal(err)
	}
	want := map[int]uint64{0: 100, 1: 70}
	for _, a := range l.advances() {
		if a.To != want[a.Partition] {
			t.Errorf("all: %+v, want to %d", a, want[a.Partition])
		}
	}
}
