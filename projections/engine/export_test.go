package engine

import (
	"slices"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/internal/script"
)

// What the conformance tests need of this package's own stores and source. They are
// in package engine_test, since the suite imports this package.

func NewMemoryStore(t testing.TB) *memoryStore { return newMemoryStore(t) }

func NewReplicas(t testing.TB) *replicas { return newReplicas(t) }

func NewMemorySource() *memorySource { return newMemorySource(nil) }

func (rs *replicas) Join() Store { return rs.join() }

func (rs *replicas) Touch(partition int) { rs.touch(partition) }

func (rs *replicas) SetPaused(p *Pause) { rs.setPaused(p) }

func (s *memoryStore) Tally(partition int) projections.Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkpoints[partition].Tally
}

// Publish appends a message at the next position.
func (s *memorySource) Publish(m events.Message) uint64 {
	s.mu.Lock()
	next := projections.Message{Position: s.info.Last + 1, Message: m}
	s.mu.Unlock()
	next.Time = script.Start.Add(time.Duration(next.Position) * time.Second)
	next.Partition = StreamIdentity{Partitions: testPartitions}.PartitionOf(&next)
	s.add(next)
	return next.Position
}

// Remove takes a message out.
func (s *memorySource) Remove(position uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = slices.DeleteFunc(slices.Clone(s.messages), func(m projections.Message) bool { return m.Position == position })
}
