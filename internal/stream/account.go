package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
	if !events.SoundTier(tier) {
		return fmt.Errorf("read tier %q: no tier id", tier)
	}
	return c.readSubject(ctx, "controlplane.*.quota_tier."+tier, upTo, each)
}

// recheck is how long messages are waited for before it is looked whether they
// were removed meanwhile.
const recheck = time.Second

func (c *Client) readSubject(ctx context.Context, filter string, upTo uint64, each func(projections.Message) error) error {
	// The server finds exact subjects by an index, and those that a wildcard
	// takes by looking through the stream (1 million messages, one account's 67
	// all over it: 20 ms against 250). There is one, unless the number of
	// partitions was changed.
	subjects, last, err := c.subjectsOf(ctx, filter)
	if err != nil {
		return fmt.Errorf("read %s: %w", filter, err)
	}
	if upTo == 0 {
		upTo = last
	}
	end, err := c.lastOfAny(ctx, subjects)
	if err != nil || end == 0 {
		return err
	}
	r, err := c.open(ctx, 0, subjects...)
	if err != nil {
		return err
	}
	defer r.Close()
	bound := projections.Bound{Events: 4096, Bytes: 8 << 20}
	var buf []projections.Message
	for read := uint64(0); read < min(end, upTo); {
		wait, cancel := context.WithTimeout(ctx, recheck)
		buf, err = r.Next(wait, buf[:0], bound)
		cancel()
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			if end, err = c.lastOfAny(ctx, subjects); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", filter, err)
		}
		for _, m := range buf {
			if read = m.Position; read > upTo {
				return nil
			}
			if err := each(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// subjectsOf lists the stored subjects that a filter takes, and the stream's
// last position.
func (c *Client) subjectsOf(ctx context.Context, filter string) (subjects []string, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s, err := c.js.Stream(ctx, c.cfg.Stream)
	if err != nil {
		return nil, 0, c.explain(err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, 0, c.explain(err)
	}
	return slices.Sorted(maps.Keys(info.State.Subjects)), info.State.LastSeq, nil
}

// lastOfAny is the position of the last message on any of the subjects; 0
// where there is none.
func (c *Client) lastOfAny(ctx context.Context, subjects []string) (last uint64, err error) {
	for _, subject := range subjects {
		at, err := c.lastOf(ctx, subject)
		if err != nil {
			return 0, err
		}
		last = max(last, at)
	}
	return last, nil
}
