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

// ErrUndelivered means that the stream says it holds a message, and that none
// came.
var ErrUndelivered = errors.New("a message that is there was not delivered")

const (
	recheck            = 100 * time.Millisecond // without a message, and it is looked whether there is one to come
	undeliveredTimeout = 30 * time.Second       // without a message although there is one
)

// ReadAll calls each with every message of the stream, in order, up to its end
// at the call.
func (c *Client) ReadAll(ctx context.Context, each func(projections.Message) error) error {
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	return c.ReadTo(ctx, info.Last, each)
}

// ReadTo calls each with every message of the stream up to and including a
// position that was given out, in order. It ends there whatever disappears
// meanwhile, the message at that position too.
func (c *Client) ReadTo(ctx context.Context, end uint64, each func(projections.Message) error) error {
	return c.read(ctx, nil, 0, end, each)
}

// read is the one way in which messages are read up to a given end: those after
// a position on the subjects, or on any where subjects is nil. What is waited for and was
// removed meanwhile ends it.
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
	var nothing emptyPoll
	for at := after; at < end; {
		limit, cancel := context.WithTimeout(ctx, recheck)
		buf, err = r.Next(limit, buf[:0], bound)
		cancel()
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			next, there, err := c.next(ctx, subjects, at)
			if err != nil {
				return err
			}
			done, err := nothing.seen(next, there && next <= end)
			if done || err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		nothing = emptyPoll{}
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

// emptyPoll is a stretch of reading in which nothing came.
type emptyPoll struct {
	began time.Time
	gone  int // looks in a row that found nothing to wait for
}

// seen takes a look: whether there is a message to wait for. Nothing is believed
// once it is seen twice, since a stream may change its leader between two
// questions.
func (w *emptyPoll) seen(next uint64, there bool) (done bool, err error) {
	if w.began.IsZero() {
		w.began = time.Now()
	}
	if !there {
		w.gone++
		return w.gone >= 2, nil
	}
	w.gone = 0
	if time.Since(w.began) > undeliveredTimeout {
		return false, fmt.Errorf("%w: message %d, for %v", ErrUndelivered, next, undeliveredTimeout)
	}
	return false, nil
}

// next is the position of the first message after another, on the subjects, or
// on any where subjects is nil.
func (c *Client) next(ctx context.Context, subjects []string, after uint64) (position uint64, there bool, err error) {
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
		if !there || m.Position < position {
			position, there = m.Position, true
		}
	}
	return position, there, nil
}

// RandomAccount draws an account of which the stream holds a message: of those
// with many it draws more often. False where many draws in a row found none.
func (c *Client) RandomAccount(ctx context.Context) (id events.UUID, found bool, err error) {
	info, err := c.Info(ctx)
	if err != nil || info.Last < info.First || info.Messages == 0 {
		return id, false, err
	}
	const draws = 50 // of positions, where a tier's message may be, or nobody's
	for range draws {
		position, there, err := c.FirstAfter(ctx, info.First-1+rand.Uint64N(info.Last-info.First+1))
		if err != nil || !there {
			return id, false, err
		}
		m, there, err := c.At(ctx, position)
		if err != nil {
			return id, false, err
		}
		if to := events.ParseSubject(m.Subject); there && to.Kind == events.SubjectAccount {
			return to.Account, true, nil
		}
	}
	return id, false, nil
}
