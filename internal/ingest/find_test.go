package ingest

import (
	"fmt"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
)

// TestAttributesAreComparedAsTheWireBringsThem: headers lose the spaces around their
// values, and an event that was sent with some is found all the same. One with another
// attribute is not.
func TestAttributesAreComparedAsTheWireBringsThem(t *testing.T) {
	ctx := deadline(t)
	c := provisioned(t, natsserver.ForTest(t).URL(), 0)
	p := New(c, Options{})
	binary := func(n int, source string) []Item {
		id := fmt.Sprintf("event-%d", n)
		return []Item{{ID: id, Message: events.Message{Subject: events.AccountSubject(account(1)), Data: []byte(`{}`), Header: map[string][]string{
			"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {source}, "ce-type": {"controlplane.user.restored.v1"}}}}}
	}
	for i, source := range []string{"/x", " /x", "/x\t ", "  /x y  ", "/x\r\ny"} {
		var sent Ack
		if err := p.Publish(ctx, binary(i, source), 0, func(_ int, a Ack) { sent = a }); err != nil {
			t.Fatal(err)
		}
		at, err := p.Find(ctx, binary(i, source), 0)
		if err != nil || at[0] != sent.Position {
			t.Errorf("%q is at %d, and was found at %v, %v", source, sent.Position, at, err)
		}
		if at, err = p.Find(ctx, binary(i, "/another"), 0); err != nil || at[0] != 0 {
			t.Errorf("%q was taken for another one: %v, %v", source, at, err)
		}
	}
}
