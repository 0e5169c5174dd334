package relay

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// TestWhatIsForgottenIsNotPublishedAnyMore: of an account that is erased thousands of
// events wait, and the relay has fetched them. After outbox.forget, which an erasure
// calls first, the stream gets none of them any more.
func TestWhatIsForgottenIsNotPublishedAnyMore(t *testing.T) {
	a := newArena(t)
	var messages []events.Message
	for i := range 4000 {
		messages = append(messages, increment(t, fmt.Sprint(i), account(1)))
	}
	a.write(t, messages...)
	s, err := a.js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	a.relay(t, Options{Window: 1000})
	eventually(t, "the relay publishes", func() (bool, string) {
		info, err := s.Info(t.Context())
		return err == nil && info.State.Msgs > 0, fmt.Sprint(err)
	})
	a.exec(t, `CALL outbox.forget('`+messages[0].Subject+`')`)
	if err := s.Purge(t.Context(), jetstream.WithPurgeSubject("controlplane.*.account."+account(1).String())); err != nil {
		t.Fatal(err)
	}
	a.write(t, increment(t, "another account's", account(2)))
	a.drained(t, 0)
	for subject, ids := range a.stored(t) {
		if subject == messages[0].Subject {
			t.Errorf("%d of its events came again", len(ids))
		}
	}
	if left, err := s.Info(t.Context()); err != nil || left.State.LastSeq > 3999 {
		t.Errorf("nothing was left to forget when it was called: %v, %v", left, err)
	}
}
