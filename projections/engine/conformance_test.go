package engine_test

import (
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/projections/engine/enginetest"
)

// TestMemoryStoreConforms checks the store that the tests of the engine use: what
// they show of the engine holds for every store that keeps the same contract.
func TestMemoryStoreConforms(t *testing.T) {
	enginetest.TestStore(t, func(t *testing.T) enginetest.ReadModel {
		s := engine.NewMemoryStore(t)
		return enginetest.ReadModel{
			Join:  func(*testing.T) engine.Store { return s },
			Tally: func(_ *testing.T, partition int) projections.Tally { return s.Tally(partition) },
		}
	})
}

// TestReplicasConform checks the same store as replicas share it.
func TestReplicasConform(t *testing.T) {
	open := func(t *testing.T) enginetest.ReadModel {
		rs := engine.NewReplicas(t)
		return enginetest.ReadModel{
			Join:   func(*testing.T) engine.Store { return rs.Join() },
			Shared: true,
			Pause:  func(*testing.T) { rs.SetPaused(&engine.Pause{Since: time.Now(), By: "somebody"}) },
			Resume: func(*testing.T) { rs.SetPaused(nil) },
			Touch:  func(_ *testing.T, partition int) { rs.Touch(partition) },
			Tally:  func(_ *testing.T, partition int) projections.Tally { return rs.Tally(partition) },
		}
	}
	enginetest.TestStore(t, open)
	enginetest.TestSharing(t, open)
}

// TestMemorySourceConforms checks the source that the tests of the engine use.
func TestMemorySourceConforms(t *testing.T) {
	enginetest.TestSource(t, func(*testing.T) enginetest.Log {
		s := engine.NewMemorySource()
		return enginetest.Log{
			Source:  s,
			Publish: func(_ *testing.T, m events.Message) uint64 { return s.Publish(m) },
			Remove:  func(_ *testing.T, position uint64) { s.Remove(position) },
		}
	})
}

// TestExamplesConform checks the source and the store of the example.
func TestExamplesConform(t *testing.T) {
	enginetest.TestSource(t, func(*testing.T) enginetest.Log {
		s := &sliceSource{}
		return enginetest.Log{Source: s, Publish: func(_ *testing.T, m events.Message) uint64 { return s.publish(m) }}
	})
	enginetest.TestStore(t, func(*testing.T) enginetest.ReadModel {
		s := &tableStore{tables: projections.NewTables()}
		return enginetest.ReadModel{
			Join:  func(*testing.T) engine.Store { return s },
			Tally: func(_ *testing.T, partition int) projections.Tally { return s.checkpoints[partition].Tally },
		}
	})
}
