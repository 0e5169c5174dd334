package ingest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
)

// late keeps the first message with each id on its way, until the second one is
// sent: then the first arrives, and the second only once the window for duplicates
// has passed.
type late struct {
	sender
	held map[string]func()
}

func (l *late) Send(token uint64, m events.Message, id string, last uint64) error {
	arrive, again := l.held[id]
	if !again {
		l.held[id] = func() { _ = l.sender.Send(token, m, id, last) }
		return nil
	}
	if arrive != nil {
		arrive()
		l.held[id] = nil
		time.Sleep(300 * time.Millisecond) // the window is what passes here
	}
	return l.sender.Send(token, m, id, last)
}

func (l *late) Close() {} // what it holds is still to be sent

// TestAMessageThatArrivesBeforeItIsSentAgainIsFound: it was not there when it was
// looked for, and is there when it is sent again, by the same publisher or by one
// that goes on for it.
func TestAMessageThatArrivesBeforeItIsSentAgainIsFound(t *testing.T) {
	for _, abandoned := range []bool{false, true} {
		srv := natsserver.ForTest(t)
		c := provisioned(t, srv.URL(), 100*time.Millisecond)
		before := itemsOf(1000, 1003, 2) // two of the subjects are not new
		if err := New(c, Options{}).Publish(deadline(t), before, 0, func(int, Ack) {}); err != nil {
			t.Fatal(err)
		}
		held := map[string]func(){}
		timeout := 100 * time.Millisecond
		if abandoned {
			timeout = 2 * time.Second // what is late is another publisher's
		}
		publisher := func(c *stream.Client) *Publisher {
			p := New(c, Options{AnswerTimeout: timeout})
			p.sender = func(most int) (sender, error) {
				s, err := c.NewSender(most)
				return &late{s, held}, err
			}
			return p
		}
		items := itemsOf(0, 6, 3)
		mark, err := New(c, Options{}).Mark(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		if abandoned {
			ctx, abandon := context.WithTimeout(deadline(t), 50*time.Millisecond)
			if err := publisher(c).Publish(ctx, items, mark, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			abandon()
			if len(held) != 3 {
				t.Fatalf("%d messages are on their way, want one of each subject", len(held))
			}
			for i := range items {
				items[i].Tried = true
			}
		}
		found := 0
		if err := publisher(c).Publish(deadline(t), items, mark, func(_ int, a Ack) {
			if a.Found {
				found++
			}
		}); err != nil {
			t.Fatal(err)
		}
		// Of the two subjects that have messages the first attempt is refused when it
		// arrives: where their last ones are was not known.
		if found != len(items)-2 {
			t.Errorf("abandoned %v: %d of %d were found", abandoned, found, len(items))
		}
		if diff := cmp.Diff(wanted(append(before, items...)), stored(t, c)); diff != "" {
			t.Errorf("abandoned %v: -want +got:\n%s", abandoned, diff)
		}
	}
}
