package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// Publish publishes an event and waits until the server has stored it. Its id is also
// sent as Nats-Msg-Id, so that the server drops a retry within the stream's duplicate
// window; then duplicate is true and position is that of the first. After an error
// other than a refusal it is unknown whether the event was stored; publishing it again
// within the window stores it once.
func (c *Client) Publish(ctx context.Context, m events.Message) (position uint64, duplicate bool, err error) {
	return c.publish(ctx, m)
}

// publishHere is [Client.Publish] and fails where another stream takes the subject.
func (c *Client) publishHere(ctx context.Context, m events.Message) error {
	_, _, err := c.publish(ctx, m, jetstream.WithExpectStream(c.cfg.Stream))
	return err
}

func (c *Client) publish(ctx context.Context, m events.Message, opts ...jetstream.PublishOpt) (position uint64, duplicate bool, err error) {
	ack, err := c.publishMsg(ctx, natsMsg(m, m.EventID()), opts...)
	if err != nil {
		return 0, false, fmt.Errorf("publish on %s: %w", m.Subject, err)
	}
	return ack.Sequence, ack.Duplicate, nil
}

// publishMsg publishes one message and explains the refusals that an operator can
// end.
func (c *Client) publishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (ack *jetstream.PubAck, err error) {
	err = c.withPermissionCheck(ctx, m.Subject, func(ctx context.Context) (err error) {
		ack, err = c.js.PublishMsg(ctx, m, opts...)
		return err
	})
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		err = fmt.Errorf("no stream takes it: is JetStream on, and has `projector provision` been run here? (%w)", err)
	}
	return ack, limited(err)
}

// PublishRaw publishes a message as it is, without an id for deduplication.
func (c *Client) PublishRaw(ctx context.Context, m events.Message) (position uint64, err error) {
	ack, err := c.publishMsg(ctx, natsMsg(m, ""))
	if err != nil {
		return 0, fmt.Errorf("publish on %s: %w", m.Subject, err)
	}
	return ack.Sequence, nil
}

// PublishAll publishes messages as they are, in order, with up to 4096 of them
// unacknowledged at a time, and waits until the server has stored them all. next
// returns false at the end. n counts the messages sent; after an error some of the
// last ones may not be stored.
func (c *Client) PublishAll(ctx context.Context, next func() (events.Message, bool)) (n int, err error) {
	err = c.withPermissionCheck(ctx, subjectRoot, func(ctx context.Context) (err error) {
		n, err = c.publishAll(ctx, next)
		return err
	})
	return n, err
}

// publishAll sends messages with a publisher of its own. It returns early with the
// first error; what was sent before may have been stored.
func (c *Client) publishAll(ctx context.Context, next func() (events.Message, bool)) (n int, err error) {
	js, err := c.jetStream(jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	defer js.CleanupPublisher() // ends its subscription
	var futures []jetstream.PubAckFuture
	awaitAcks := func(keep int) error {
		for len(futures) > keep {
			select {
			case <-futures[0].Ok():
			case err := <-futures[0].Err():
				return fmt.Errorf("publish on %s: %w", futures[0].Msg().Subject, err)
			case <-ctx.Done():
				return ctx.Err()
			}
			futures = futures[1:]
		}
		return nil
	}
	for {
		m, ok := next()
		if !ok {
			return n, awaitAcks(0)
		}
		f, err := js.PublishMsgAsync(natsMsg(m, ""))
		if err != nil {
			return n, errors.Join(fmt.Errorf("publish on %s: %w", m.Subject, err), awaitAcks(0))
		}
		futures = append(futures, f)
		n++
		if err := awaitAcks(2048); err != nil {
			return n, err
		}
	}
}

// natsMsg converts a message; id becomes its Nats-Msg-Id unless it is empty. The message's
// own header is not changed.
func natsMsg(m events.Message, id string) *nats.Msg {
	return &nats.Msg{Subject: m.Subject, Header: m.NATSHeaderWithID(id), Data: m.Data}
}
