package stream

import (
	"context"
	"fmt"

	"accountexport/events"
	"accountexport/projections"
)

// ReadAccount calls each with one account's messages in stream order, up to
// and including a position; 0 stands for the stream's end at the call.
func (c *Client) ReadAccount(ctx context.Context, account events.UUID, upTo uint64, each func(projections.Message) error) error {
	return c.readSubject(ctx, "controlplane.*.account."+account.String(), upTo, each)
}

// ReadTier does for a quota tier what ReadAccount does for an account.
func (c *Client) ReadTier(ctx context.Context, tier string, upTo uint64, each func(projections.Message) error) error {
	return c.readSubject(ctx, "controlplane.*.quota_tier."+tier, upTo, each)
}

func (c *Client) readSubject(ctx context.Context, filter string, upTo uint64, each func(projections.Message) error) error {
	end, err := c.lastOf(ctx, filter)
	if err != nil {
		return err
	}
	if upTo == 0 || upTo > end {
		upTo = end
	}
	if upTo == 0 {
		return nil
	}
	r, err := c.open(ctx, 0, filter)
	if err != nil {
		return err
	}
	defer r.Close()
	bound := projections.Bound{Events: 4096, Bytes: 8 << 20}
	for {
		messages, err := r.Next(ctx, nil, bound)
		if err != nil {
			return fmt.Errorf("read %s: %w", filter, err)
		}
		for _, m := range messages {
			if m.Position > upTo {
				return nil
			}
			if err := each(m); err != nil {
				return err
			}
			if m.Position == end {
				return nil
			}
		}
	}
}
