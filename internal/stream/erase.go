package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/projections"
)

// RemoveAccount removes an account's messages from the stream, earlier and
// later ones, but for the one at keep. It returns how many went. It may be
// repeated; what JetStream keeps on disk until it compacts, and what is in
// backups, it does not reach.
func (c *Client) RemoveAccount(ctx context.Context, account events.UUID, keep uint64) (removed int, err error) {
	var later []uint64
	err = c.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		switch {
		case m.Position < keep:
			removed++
		case m.Position > keep:
			later = append(later, m.Position)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if removed > 0 {
		s, err := c.js.Stream(ctx, c.cfg.Stream)
		if err != nil {
			return 0, c.explain(err)
		}
		err = s.Purge(ctx, jetstream.WithPurgeSubject("controlplane.*.account."+account.String()), jetstream.WithPurgeSequence(keep))
		if err != nil {
			return 0, fmt.Errorf("purge account %s: %w", account, err)
		}
	}
	for _, position := range later {
		if err := c.Remove(ctx, position); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// Remove removes one message and overwrites it on disk. That it is gone already
// is no error.
func (c *Client) Remove(ctx context.Context, position uint64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.js.Stream(ctx, c.cfg.Stream)
	if err != nil {
		return c.explain(err)
	}
	err = s.SecureDeleteMsg(ctx, position)
	if err == nil || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if _, getErr := c.Get(ctx, position); errors.Is(getErr, ErrNoMessage) {
		return nil
	}
	return fmt.Errorf("remove message %d: %w", position, err)
}

// ReadAll calls each with every message of the stream, in order, up to its end
// at the call.
func (c *Client) ReadAll(ctx context.Context, each func(projections.Message) error) error {
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	last, err := c.lastOf(ctx, ">")
	if err != nil || last == 0 {
		return err
	}
	last = min(last, info.Last)
	r, err := c.Open(ctx, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		messages, err := r.Next(ctx, nil, projections.Bound{Events: 4096, Bytes: 8 << 20})
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
		for _, m := range messages {
			if m.Position > last {
				return nil
			}
			if err := each(m); err != nil {
				return err
			}
			if m.Position == last {
				return nil
			}
		}
	}
}
