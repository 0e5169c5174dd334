package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// ErrUndelivered means that the stream holds a message that was not delivered.
var ErrUndelivered = errors.New("a message that is there was not delivered")

const (
	recheck            = 100 * time.Millisecond // without a message; then the stream is asked whether one is to come
	undeliveredTimeout = 30 * time.Second       // without a message although the stream holds one
)

// ReadAll calls each with every message of the stream, in order, up to the end that
// the stream has at the call.
func (c *Client) ReadAll(ctx context.Context, each func(projections.Message) error) error {
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	return c.ReadTo(ctx, info.Last, each)
}

// ReadTo calls each with every message of the stream, in order, up to and including
// end, a position that was assigned already. It ends there even if messages are
// removed meanwhile, the one at end included.
func (c *Client) ReadTo(ctx context.Context, end uint64, each func(projections.Message) error) error {
	return c.read(ctx, nil, 0, end, each)
}

// ReadBetween is ReadTo for the messages after a position.
func (c *Client) ReadBetween(ctx context.Context, after, end uint64, each func(projections.Message) error) error {
	return c.read(ctx, nil, after, end, each)
}

// read is the one implementation of reading up to a given end: the messages after a
// position on the given subjects, or on any subject where subjects is nil. It ends
// once nothing up to end is left to be delivered, so a message that is removed while
// it is awaited does not keep it waiting.
func (c *Client) read(ctx context.Context, subjects []string, after, end uint64, each func(projections.Message) error) error {
	if end <= after {
		return nil
	}
	r, err := c.open(ctx, after, subjects...)
	if err != nil {
		return err
	}
	defer r.Close()
	bound := engine.Bound{Events: 4096, Bytes: 8 << 20}
	var buf []projections.Message
	var empty emptyPoll
	for at := after; at < end; {
		limit, cancel := context.WithTimeout(ctx, recheck)
		buf, err = r.Next(limit, buf[:0], bound)
		cancel()
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			next, exists, err := c.next(ctx, subjects, at)
			if err != nil {
				return err
			}
			done, err := empty.seen(next, exists && next <= end)
			if done || err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		empty = emptyPoll{}
		for _, m := range buf {
			if at = m.Position; at > end {
				return nil
			}
			if err := each(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// emptyPoll is a period of reading during which no message was delivered.
type emptyPoll struct {
	since  time.Time
	absent int // consecutive lookups that found no message to wait for
}

// seen records a lookup: whether there is a message to wait for, and its position.
// done is true only after two lookups in a row that found none, since the stream's
// leader may change between two requests. A message that is not delivered within
// undeliveredTimeout is [ErrUndelivered].
func (p *emptyPoll) seen(next uint64, exists bool) (done bool, err error) {
	if p.since.IsZero() {
		p.since = time.Now()
	}
	if !exists {
		p.absent++
		return p.absent >= 2, nil
	}
	p.absent = 0
	if time.Since(p.since) > undeliveredTimeout {
		return false, fmt.Errorf("%w: message %d, for %v", ErrUndelivered, next, undeliveredTimeout)
	}
	return false, nil
}

// CountAfter is how many messages the stream holds after a position, by the server's
// count.
func (c *Client) CountAfter(ctx context.Context, after uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cons, err := c.consumer(ctx, after, nil)
	if err != nil {
		return 0, fmt.Errorf("count messages after %d: %w", after, c.explain(limited(err)))
	}
	defer c.drop(cons.CachedInfo().Name)
	return cons.CachedInfo().NumPending, nil
}

// next returns the position of the first message after another, on the given
// subjects, or on any subject where subjects is nil.
func (c *Client) next(ctx context.Context, subjects []string, after uint64) (position uint64, found bool, err error) {
	if subjects == nil {
		subjects = []string{">"}
	}
	for _, subject := range subjects {
		m, err := c.get(ctx, getRequest{Seq: after + 1, NextFor: subject})
		if errors.Is(err, ErrNoMessage) {
			continue
		}
		if err != nil {
			return 0, false, fmt.Errorf("first message on %s after %d: %w", subject, after, err)
		}
		if !found || m.Position < position {
			position, found = m.Position, true
		}
	}
	return position, found, nil
}

// RandomAccount draws an account that has a message in the stream; accounts with more
// messages are drawn more often. found is false where 50 draws in a row met no
// account's message.
func (c *Client) RandomAccount(ctx context.Context) (id events.UUID, found bool, err error) {
	info, err := c.Info(ctx)
	if err != nil || info.Last < info.First || info.Messages == 0 {
		return id, false, err
	}
	const draws = 50 // each may meet a quota tier's message, or one of no account
	for range draws {
		position, ok, err := c.FirstAfter(ctx, info.First-1+rand.Uint64N(info.Last-info.First+1))
		if err != nil || !ok {
			return id, false, err
		}
		m, ok, err := c.At(ctx, position)
		if err != nil {
			return id, false, err
		}
		if to := events.ParseSubject(m.Subject); ok && to.Kind == events.SubjectAccount {
			return to.Account, true, nil
		}
	}
	return id, false, nil
}
