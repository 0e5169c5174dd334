package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// Reasons for the end of a reader. After any of them, a reader opened after the last
// position received goes on without a gap.
var (
	ErrReaderClosed   = errors.New("reader closed")
	ErrMessagesLost   = errors.New("messages were lost on the way")
	ErrReaderStalled  = errors.New("the server has gone silent")
	ErrConnectionLost = errors.New("connection lost")
	ErrConsumerGone   = errors.New("the server ended the reading")
)

// reader reads through an ephemeral pull consumer without acknowledgements. The
// consumer numbers its deliveries, so a gap in those numbers, also one that only a
// heartbeat reveals, is a lost message and ends the reader.
//
// It uses a plain subscription because the client library's consumers take a stored
// message with an empty payload and a Status header for a status of the server: one
// such message would end every read of the stream.
type reader struct {
	// Set when the reader is opened. The client library's goroutine sends to msgs
	// and states, violations closes violation.done, and Close, which any goroutine
	// may call, closes done.
	client    *Client
	consumer  string
	sub       *nats.Subscription
	msgs      chan *nats.Msg
	states    chan nats.Status // receives a value when the connection is lost
	violation *violationWaiter // refused once the user may not pull or receive
	unwatch   func()
	done      chan struct{}
	once      sync.Once // of Close
	after     uint64    // the position after which reading begins
	opened    time.Time

	// The rest belongs to the goroutine that calls Next.
	prefetch prefetch
	received bool                 // anything, a heartbeat included
	last     uint64               // position of the last message received
	sequence uint64               // its consumer sequence
	held     *projections.Message // received, but beyond the bound of the last Next
	err      error                // why the reader ended
}

// Open implements [engine.Source]. The reader belongs to one goroutine; only Close
// may be called from others. It holds at most 32,768 messages and
// Config.PrefetchBytes (or twice the server's largest message) that were not handed
// out yet. A Next that ends with its context loses nothing and may be called again.
func (c *Client) Open(ctx context.Context, after uint64) (engine.Reader, error) {
	return c.open(ctx, after)
}

// open starts a reader after a position, of the given subjects only, or of all
// without filters. Creating its consumer takes at most requestTimeout.
func (c *Client) open(ctx context.Context, after uint64, filters ...string) (*reader, error) {
	limit, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := c.checkConsumerDelete(limit)
	var cons jetstream.Consumer
	if err == nil {
		cons, err = c.consumer(limit, after, filters)
	}
	if c.onTimeout(ctx, limit, err) != nil {
		return nil, fmt.Errorf("consumer after %d: %w", after, c.explain(limited(err)))
	}
	return c.readFrom(cons.CachedInfo(), after)
}

// readFrom starts a reader on a consumer, which is deleted when the reader is closed.
func (c *Client) readFrom(cons *jetstream.ConsumerInfo, after uint64) (_ *reader, err error) {
	r := &reader{
		client:   c,
		consumer: cons.Name,
		msgs:     make(chan *nats.Msg, maxInFlight+statusSlots),
		states:   c.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED),
		done:     make(chan struct{}),
		after:    after,
		opened:   time.Now(),
	}
	r.violation, r.unwatch = c.violations.watch(c.pullSubject(), true)
	inbox := c.nc.NewInbox()
	r.prefetch = prefetch{inbox: inbox + ".", budget: budget(c.cfg.PrefetchBytes, c.nc.MaxPayload()), request: func(reply string, body []byte) error {
		return c.nc.PublishRequest(c.pullSubject()+r.consumer, reply, body)
	}}
	r.prefetch.limitTo(pullLimitsOf(cons.Config), c.nc.MaxPayload())
	if r.sub, err = c.nc.ChanSubscribe(inbox+".*", r.msgs); err == nil {
		err = r.prefetch.fill()
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("read after %d: %w", after, err)
	}
	return r, nil
}

// Close implements [engine.Reader].
func (r *reader) Close() {
	r.once.Do(func() {
		close(r.done)
		r.unwatch()
		r.client.nc.RemoveStatusListener(r.states)
		// Neither has to succeed: the server removes an inactive consumer by itself.
		if r.sub != nil {
			_ = r.sub.Unsubscribe()
		}
		r.client.drop(r.consumer)
	})
}

// Next implements [engine.Reader].
func (r *reader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	if r.err != nil {
		return buf, r.err
	}
	start, size := len(buf), 0
	if r.held != nil {
		buf, size = append(buf, *r.held), r.held.Size()
		r.held = nil
	}
	for len(buf) == start || len(buf)-start < bound.Events && size < bound.Bytes {
		first := len(buf) == start
		raw, err := r.take(ctx, first)
		if err == nil && raw == nil {
			return buf, nil // nothing more has been prefetched
		}
		if first && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return buf, err
		}
		var m projections.Message
		var ok bool
		if err == nil {
			m, ok, err = r.accept(raw)
		}
		switch {
		case err != nil:
			r.err = fmt.Errorf("reading after %d: %w", max(r.after, r.last), err)
			if first {
				return buf, r.err
			}
			return buf, nil // the messages before it are valid; the next call returns the error
		case !ok:
		case !first && size+m.Size() > bound.Bytes:
			r.held = &m
			return buf, nil
		default:
			buf, size = append(buf, m), size+m.Size()
		}
	}
	return buf, nil
}

// take returns the next message received. Where none has been prefetched it waits, or
// returns nil if it may not wait.
func (r *reader) take(ctx context.Context, wait bool) (*nats.Msg, error) {
	select {
	case <-r.done:
		return nil, ErrReaderClosed
	default:
	}
	select {
	case raw, ok := <-r.msgs:
		return taken(raw, ok)
	default:
		if !wait {
			return nil, nil
		}
	}
	timeout := time.NewTimer(heartbeatTimeout)
	defer timeout.Stop()
	select {
	case raw, ok := <-r.msgs:
		return taken(raw, ok)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.done:
		return nil, ErrReaderClosed
	case <-r.states:
		return nil, ErrConnectionLost
	case <-r.violation.done:
		return nil, r.client.violations.permissionError(r.violation, r.client.pullSubject())
	case <-timeout.C:
		r.client.checkConnection()
		return nil, fmt.Errorf("%w for %v", ErrReaderStalled, heartbeatTimeout)
	}
}

func taken(raw *nats.Msg, ok bool) (*nats.Msg, error) {
	if !ok { // the connection was closed
		return nil, ErrConnectionLost
	}
	return raw, nil
}

// accept checks that no message is missing before this one. ok is false for a status,
// and for a message at or before the position after which reading began.
func (r *reader) accept(raw *nats.Msg) (m projections.Message, ok bool, err error) {
	if !r.received {
		r.received = true
		r.client.violations.readerReceived(r.violation)
	}
	// A status is recognised by its missing reply subject, and not by its headers, which
	// any stored message may carry as well.
	if raw.Reply == "" && unheard(raw) && r.sequence == 0 && time.Since(r.opened) < requestTimeout {
		// In a cluster this client's server may not have heard yet of a consumer that
		// another server has just made.
		select {
		case <-r.done:
		case <-time.After(100 * time.Millisecond):
		}
		return m, false, r.prefetch.again(raw)
	}
	if raw.Reply == "" {
		return m, false, r.prefetch.status(raw, r.sequence)
	}
	d, err := parseReply(raw.Reply)
	switch {
	case err != nil:
		return m, false, fmt.Errorf("%w: %w", ErrConsumerGone, err)
	case d.consumer != r.sequence+1:
		return m, false, fmt.Errorf("%w: delivery %d follows %d", ErrMessagesLost, d.consumer, r.sequence)
	case d.stream <= r.last:
		return m, false, fmt.Errorf("%w: position %d follows %d", ErrMessagesLost, d.stream, r.last)
	}
	r.sequence, r.last = d.consumer, d.stream
	if err := r.prefetch.taken(raw.Size()); err != nil {
		return m, false, err
	}
	if d.stream <= r.after {
		return m, false, nil // reading began beyond the end of the stream
	}
	m.Position, m.Time = d.stream, d.at
	m.Subject, m.Partition = SplitSubject(raw.Subject)
	m.Header, m.Data = raw.Header, raw.Data
	return m, true, nil
}
