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

// Deleted returns the positions that hold no message any more: those before the first
// message, and those that the server counts as deleted. info comes from the same
// answer. The answer may be large, so callers ask only where the counts disagree.
func (c *Client) Deleted(ctx context.Context) (info engine.StreamInfo, deleted engine.Ranges, err error) {
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
	deleted = make(engine.Ranges, 0, len(answer.State.Deleted)+1)
	if info.First > 1 {
		deleted = append(deleted, engine.Range{First: 1, Last: min(info.First-1, info.Last)})
	}
	for _, p := range answer.State.Deleted {
		if p >= info.First && 0 < p && p <= info.Last { // for an empty stream the server lists 0
			deleted = append(deleted, engine.Range{First: p, Last: p})
		}
	}
	return info, deleted.Union(nil), nil
}

// absentSample is how many positions of one range are looked up at most.
const absentSample = 256

// Absent returns those of the positions that hold no message which the server can
// deliver. Of a range longer than absentSample only a sample is looked up, its two
// ends included; if one message of the sample exists, no position of that range
// counts as absent.
func (c *Client) Absent(ctx context.Context, positions engine.Ranges) (absent engine.Ranges, err error) {
	for _, span := range positions {
		step := (span.Last-span.First)/absentSample + 1
		var missing engine.Ranges
		present := 0
		for p := span.First; ; p = min(p+step, span.Last) {
			_, err := c.Get(ctx, p)
			switch {
			case err == nil:
				present++
			case errors.Is(err, ErrNoMessage):
				missing = append(missing, engine.Range{First: p, Last: p})
			default:
				return nil, err
			}
			if p == span.Last {
				break
			}
		}
		switch {
		case step == 1:
			absent = append(absent, missing...)
		case present == 0:
			absent = append(absent, span)
		}
	}
	return absent.Union(nil), nil
}

// ReconcilingSource is a [Client] as a source that skips no message which the server
// counts as present: the messages delivered and the positions deleted together have
// to make up the whole span. It is safe for concurrent use.
type ReconcilingSource struct {
	*Client

	// OnUndelivered is called with positions that are neither delivered nor
	// deleted. If it returns nil, reading goes on without them and they are not
	// reported again; an error ends the reader with that error, right before
	// them. It is called by one goroutine at a time, and other readers that meet a
	// gap wait for it.
	OnUndelivered func(ctx context.Context, positions engine.Ranges) error

	backoff time.Duration // between lookups; default 200 ms

	// mu guards the fields below. It is held while one gap is judged, I/O
	// included: up to five requests, 200 ms apart, then one request for each
	// position that is still missing, and OnUndelivered. A second reader that
	// meets a gap waits for that long, and usually finds its answer in deleted.
	mu       sync.Mutex
	deleted  engine.Ranges // as the server answered last
	accepted engine.Ranges // positions that OnUndelivered let pass
}

const (
	reconcileAttempts = 5 // lookups before a message counts as undelivered
	reconcileBackoff  = 200 * time.Millisecond
)

// reconcile compares positions that were not delivered with those that the server
// counts as deleted. A follower may deliver before it has applied the leader's
// deletions, so the server is asked up to five times. nil means that all are deleted
// or that OnUndelivered accepted the rest. [ErrMessagesLost] means that a message
// exists after all and was skipped: reading has to begin again after the last
// position.
func (r *ReconcilingSource) reconcile(ctx context.Context, span engine.Range) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := engine.Ranges{span}.Without(r.accepted)
	if len(left.Without(r.deleted)) == 0 {
		return nil
	}
	for i := range reconcileAttempts {
		if i > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(cmp.Or(r.backoff, reconcileBackoff)):
			}
		}
		_, deleted, err := r.Client.Deleted(ctx)
		if err != nil {
			return err
		}
		r.deleted = deleted
		if left = left.Without(deleted); len(left) == 0 {
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

// FirstAfter implements [engine.Source]. That no message follows is accepted only
// where the server counts every position up to the stream's end as deleted.
func (r *ReconcilingSource) FirstAfter(ctx context.Context, after uint64) (uint64, bool, error) {
	position, ok, err := r.Client.FirstAfter(ctx, after)
	if ok || err != nil {
		return position, ok, err
	}
	info, err := r.Client.Info(ctx)
	if err != nil || info.Last <= after {
		return 0, false, err
	}
	// Messages that arrived since the first lookup are found by this one.
	if position, ok, err = r.Client.FirstAfter(ctx, after); ok || err != nil {
		return position, ok, err
	}
	err = r.reconcile(ctx, engine.Range{First: after + 1, Last: info.Last})
	if errors.Is(err, ErrMessagesLost) {
		return info.Last, true, nil // the caller waits for this position, which the server will not deliver
	}
	return 0, false, err
}

// Open implements [engine.Source].
func (r *ReconcilingSource) Open(ctx context.Context, after uint64) (engine.Reader, error) {
	in, err := r.Client.Open(ctx, after)
	if err != nil {
		return nil, err
	}
	out := &reconciledReader{Reader: in, source: r, last: after}
	out.ctx, out.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return out, nil
}

// reconciledReader judges each gap before it hands out what follows. Like any reader
// it belongs to one goroutine.
type reconciledReader struct {
	engine.Reader
	source *ReconcilingSource
	ctx    context.Context // until Close: judging a gap may outlast one Next
	cancel context.CancelFunc

	last    uint64                // position of the last message handed out
	held    []projections.Message // received, and behind a gap
	verdict chan error            // what became of the gap before held; nil: it is not being judged
	err     error                 // why the reader ended
}

// Close implements [engine.Reader].
func (r *reconciledReader) Close() {
	r.cancel()
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
			return buf, nil // the messages before the gap are valid; the next call judges the gap
		}
		return r.Next(ctx, buf, bound)
	}
	return buf, nil
}

// judge waits for the verdict on the gap before the held messages. Where ctx ends
// first, the next call goes on waiting for the same verdict.
func (r *reconciledReader) judge(ctx context.Context) error {
	if r.verdict == nil {
		verdict, gap := make(chan error, 1), engine.Range{First: r.last + 1, Last: r.held[0].Position - 1}
		go func() { verdict <- r.source.reconcile(r.ctx, gap) }()
		r.verdict = verdict
	}
	select {
	case r.err = <-r.verdict:
		r.verdict = nil
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
