package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// Deleted asks the server which positions hold no message any more: what lies
// before the first one, and what it counts as deleted. The answer may be large,
// so it is asked for only where counts disagree. info is of the same answer.
func (c *Client) Deleted(ctx context.Context) (info engine.StreamInfo, gone engine.Ranges, err error) {
	question := struct {
		Details bool `json:"deleted_details"`
	}{true}
	answer, err := c.streamWith(ctx, question)
	if err != nil {
		return info, nil, c.explain(err)
	}
	if info, err = c.infoOf(answer); err != nil {
		return info, nil, err
	}
	gone = make(engine.Ranges, 0, len(answer.State.Deleted)+1)
	if info.First > 1 {
		gone = append(gone, engine.Range{First: 1, Last: min(info.First-1, info.Last)})
	}
	for _, p := range answer.State.Deleted {
		if p >= info.First && 0 < p && p <= info.Last { // of an empty stream it says 0
			gone = append(gone, engine.Range{First: p, Last: p})
		}
	}
	return info, gone.Union(nil), nil
}

// absentAsked is how many positions of a range are asked for at most.
const absentAsked = 256

// Absent are those of the positions that hold no message that the server could
// give. Of a long range only some are asked for, its ends among them; where one of
// those is there, none of the range is said to be absent.
func (c *Client) Absent(ctx context.Context, those engine.Ranges) (absent engine.Ranges, err error) {
	for _, x := range those {
		step := (x.Last-x.First)/absentAsked + 1
		var asked engine.Ranges
		there := 0
		for p := x.First; ; p = min(p+step, x.Last) {
			_, err := c.Get(ctx, p)
			switch {
			case err == nil:
				there++
			case errors.Is(err, ErrNoMessage):
				asked = append(asked, engine.Range{First: p, Last: p})
			default:
				return nil, err
			}
			if p == x.Last {
				break
			}
		}
		switch {
		case step == 1:
			absent = append(absent, asked...)
		case there == 0:
			absent = append(absent, x)
		}
	}
	return absent.Union(nil), nil
}

// ReconcilingSource is the client as a source that skips nothing which the server
// counts as there: what is delivered and what is deleted make up the span. What
// is neither, Undelivered is told of; where it returns an error, reading ends
// with that, right before, and otherwise goes on.
type ReconcilingSource struct {
	*Client
	OnUndelivered func(ctx context.Context, those engine.Ranges) error

	pause time.Duration // between looks; default 200 ms

	mu       sync.Mutex
	gone     engine.Ranges // as the server said last
	accepted engine.Ranges // of those it is gone on without
}

const (
	reconcileAttempts = 5 // looks until it is believed that a message is not delivered
	reconcileBackoff  = 200 * time.Millisecond
)

// reconcile holds positions that were not delivered against what is deleted. A
// follower may deliver before its leader has removed as much, so it is asked
// several times. The error is [ErrMessagesLost] where a message is there after
// all: reading has to begin anew.
func (r *ReconcilingSource) reconcile(ctx context.Context, x engine.Range) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := engine.Ranges{x}.Without(r.accepted)
	if len(left.Without(r.gone)) == 0 {
		return nil
	}
	for i := range reconcileAttempts {
		if i > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(cmp.Or(r.pause, reconcileBackoff)):
			}
		}
		_, gone, err := r.Client.Deleted(ctx)
		if err != nil {
			return err
		}
		r.gone = gone
		if left = left.Without(gone); len(left) == 0 {
			return nil
		}
	}
	absent, err := r.Client.Absent(ctx, left)
	if err != nil {
		return err
	}
	if absent.Count() < left.Count() {
		return fmt.Errorf("%w: messages %v are there, and some of them were passed over", ErrMessagesLost, left)
	}
	if err := r.OnUndelivered(ctx, left); err != nil {
		return err
	}
	r.accepted = r.accepted.Union(left)
	return nil
}

// FirstAfter implements [engine.Source]. That there is none is believed only
// where the server says of all that follows that it is deleted.
func (r *ReconcilingSource) FirstAfter(ctx context.Context, after uint64) (uint64, bool, error) {
	position, ok, err := r.Client.FirstAfter(ctx, after)
	if ok || err != nil {
		return position, ok, err
	}
	info, err := r.Client.Info(ctx)
	if err != nil || info.Last <= after {
		return 0, false, err
	}
	// What has come since is there by now.
	if position, ok, err = r.Client.FirstAfter(ctx, after); ok || err != nil {
		return position, ok, err
	}
	err = r.reconcile(ctx, engine.Range{First: after + 1, Last: info.Last})
	if errors.Is(err, ErrMessagesLost) {
		return info.Last, true, nil // it waits, and the server does not come by it
	}
	return 0, false, err
}

// Open implements [engine.Source].
func (r *ReconcilingSource) Open(ctx context.Context, after uint64) (engine.Reader, error) {
	in, err := r.Client.Open(ctx, after)
	if err != nil {
		return nil, err
	}
	out := &reconciledReader{Reader: in, of: r, last: after}
	out.ctx, out.end = context.WithCancel(context.WithoutCancel(ctx))
	return out, nil
}

// reconciledReader judges each jump before what follows it is handed out.
type reconciledReader struct {
	engine.Reader
	of   *ReconcilingSource
	ctx  context.Context // until it is closed: judging takes longer than a Next may
	end  context.CancelFunc
	last uint64
	held []projections.Message // read, and behind a jump
	word chan error            // what becomes of the jump; nil where it is not judged yet
	err  error
}

// Close implements [engine.Reader].
func (r *reconciledReader) Close() {
	r.end()
	r.Reader.Close()
}

// Next implements [engine.Reader].
func (r *reconciledReader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	if r.err != nil {
		return buf, r.err
	}
	start := len(buf)
	if r.held != nil {
		if err := r.judge(ctx); err != nil {
			return buf, err
		}
		r.last = r.held[0].Position
		buf, r.held = append(buf, r.held...), nil
	} else {
		var err error
		if buf, err = r.Reader.Next(ctx, buf, bound); err != nil {
			return buf, err
		}
	}
	for i := start; i < len(buf); i++ {
		if at := buf[i].Position; at <= r.last+1 {
			r.last = at
			continue
		}
		r.held = append([]projections.Message(nil), buf[i:]...)
		if buf = buf[:i]; i > start {
			return buf, nil // what came before is sound; the next call judges
		}
		return r.Next(ctx, buf, bound)
	}
	return buf, nil
}

// judge waits for what becomes of the jump before what is held. Where ctx ends,
// the next call goes on waiting.
func (r *reconciledReader) judge(ctx context.Context) error {
	if r.word == nil {
		word, jump := make(chan error, 1), engine.Range{First: r.last + 1, Last: r.held[0].Position - 1}
		go func() { word <- r.of.reconcile(r.ctx, jump) }()
		r.word = word
	}
	select {
	case r.err = <-r.word:
		r.word = nil
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
