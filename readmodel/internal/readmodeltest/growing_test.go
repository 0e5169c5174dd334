package readmodeltest

import (
	"testing"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine/enginetest"
)

// TestGrowingConforms checks the source of the read model's tests.
func TestGrowingConforms(t *testing.T) {
	enginetest.TestSource(t, func(*testing.T) enginetest.Log {
		g := NewGrowing(nil)
		return enginetest.Log{
			Source: g,
			Publish: func(_ *testing.T, m events.Message) uint64 {
				log, _ := g.current()
				next := projections.Message{Position: uint64(len(log) + 1), Time: Noon, Message: m}
				g.Grow(append(log[:len(log):len(log)], next))
				return next.Position
			},
		}
	})
}
