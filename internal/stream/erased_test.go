package stream

import (
	"testing"
	"time"

	"accountexport/events"
)

// TestAnyErasureIsPublished: an erasure is published anew with the account and time
// that it had, also where those are what a constructor of events refuses as never set:
// the stream held such an event, so the contract has them.
func TestAnyErasureIsPublished(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	for _, id := range []events.UUID{{}, account(1)} {
		for i, at := range []time.Time{{}, time.Unix(0, 0), time.Now()} {
			id[15] = byte(i) // the first is all zeros
			first, err := c.PublishErased(ctx, id, at)
			if err != nil {
				t.Fatalf("%s at %s: %v", id, at, err)
			}
			if first.Position == 0 || !first.At.Equal(at.Truncate(time.Microsecond)) {
				t.Errorf("%s at %s: the stream holds it at %d, of %s", id, at, first.Position, first.At)
			}
		}
	}
}
