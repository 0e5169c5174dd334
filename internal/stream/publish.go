package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// Publish publishes an event and waits until the server has it. Its id is also
// sent as Nats-Msg-Id, so that within the stream's duplicate window a retry is
// dropped; duplicate then tells so, and position is the first one's.
func (c *Client) Publish(ctx context.Context, m events.Message) (position uint64, duplicate bool, err error) {
	return c.publish(ctx, m)
}

// publishHere is [Client.Publish] that fails where another stream takes the
// subject.
func (c *Client) publishHere(ctx context.Context, m events.Message) error {
	_, _, err := c.publish(ctx, m, jetstream.WithExpectStream(c.cfg.Stream))
	return err
}

func (c *Client) publish(ctx context.Context, m events.Message, how ...jetstream.PublishOpt) (position uint64, duplicate bool, err error) {
	ack, err := c.publishMsg(ctx, wire(m, m.EventID()), how...)
	if err != nil {
		return 0, false, fmt.Errorf("publish on %s: %w", m.Subject, err)
	}
	return ack.Sequence, ack.Duplicate, nil
}

func (c *Client) publishMsg(ctx context.Context, m *nats.Msg, how ...jetstream.PublishOpt) (ack *jetstream.PubAck, err error) {
	err = c.withPermissionCheck(ctx, m.Subject, func(ctx context.Context) (err error) {
		ack, err = c.js.PublishMsg(ctx, m, how...)
		return err
	})
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		err = fmt.Errorf("no stream takes it: is JetStream on, and has `projector provision` been run here? (%w)", err)
	}
	return ack, limited(err)
}

// PublishRaw publishes a message as it is, without an id to deduplicate by.
func (c *Client) PublishRaw(ctx context.Context, m events.Message) (position uint64, err error) {
	ack, err := c.publishMsg(ctx, wire(m, ""))
	if err != nil {
		return 0, fmt.Errorf("publish on %s: %w", m.Subject, err)
	}
	return ack.Sequence, nil
}

// PublishAll publishes many messages as they are, in order, many on their way
// at once, and waits until the server has them all. next returns false at the
// end.
func (c *Client) PublishAll(ctx context.Context, next func() (events.Message, bool)) (n int, err error) {
	err = c.withPermissionCheck(ctx, subjectRoot, func(ctx context.Context) (err error) {
		n, err = c.publishAll(ctx, next)
		return err
	})
	return n, err
}

func (c *Client) publishAll(ctx context.Context, next func() (events.Message, bool)) (n int, err error) {
	js, err := c.jetStream(jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	defer js.CleanupPublisher() // its subscription
	var futures []jetstream.PubAckFuture
	settle := func(keep int) error {
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
			return n, settle(0)
		}
		f, err := js.PublishMsgAsync(wire(m, ""))
		if err != nil {
			return n, errors.Join(fmt.Errorf("publish on %s: %w", m.Subject, err), settle(0))
		}
		futures = append(futures, f)
		n++
		if err := settle(2048); err != nil {
			return n, err
		}
	}
}

func wire(m events.Message, id string) *nats.Msg {
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data}
	if len(m.Header) > 0 || id != "" {
		msg.Header = nats.Header{}
		for k, v := range m.Header {
			msg.Header[k] = v
		}
	}
	if id != "" {
		msg.Header.Set(nats.MsgIdHdr, id)
	}
	return msg
}
