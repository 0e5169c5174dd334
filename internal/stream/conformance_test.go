package stream

import (
	"testing"

	"accountexport/events"
	"accountexport/projections/engine/enginetest"
)

// TestClientConforms checks the client as a source of the engine, on a real server.
func TestClientConforms(t *testing.T) {
	enginetest.TestSource(t, func(t *testing.T) enginetest.Log {
		c, _ := provisioned(t)
		return enginetest.Log{
			Source: c,
			Publish: func(t *testing.T, m events.Message) uint64 {
				t.Helper()
				position, err := c.PublishRaw(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				return position
			},
			Remove: func(t *testing.T, position uint64) {
				t.Helper()
				if removed, err := c.DeleteMessage(t.Context(), position); err != nil || !removed {
					t.Fatalf("remove %d: %t, %v", position, removed, err)
				}
			},
		}
	})
}
