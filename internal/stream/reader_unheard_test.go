package stream

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestConsumerThatIsNotHeardOfYet: the first requests of a reader meet nobody, since the client's
// server has not heard yet of the consumer, as in a cluster. The reader asks again, and reads all
// once it has; a consumer that nobody ever hears of ends it.
func TestConsumerThatIsNotHeardOfYet(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 100)
	r, err := c.readFrom(&jetstream.ConsumerInfo{Name: "late"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	made := make(chan error, 1)
	go func() {
		time.Sleep(300 * time.Millisecond) // the first requests have been answered, by nobody
		_, err := c.js.CreateConsumer(ctx, c.cfg.Stream, jetstream.ConsumerConfig{Name: "late", AckPolicy: jetstream.AckNonePolicy})
		made <- err
	}()
	if got := readUpTo(ctx, t, r, 100); len(got) != 100 {
		t.Errorf("%d messages were read, want 100", len(got))
	}
	if err := <-made; err != nil {
		t.Error(err)
	}

	never, err := c.readFrom(&jetstream.ConsumerInfo{Name: "never"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer never.Close()
	if _, err := never.Next(ctx, nil, bound); !errors.Is(err, ErrConsumerGone) {
		t.Errorf("%v, want %v", err, ErrConsumerGone)
	}
}
