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

// Why a reader ended. Whatever the reason, one that is opened after the last
// position goes on from there.
var (
	ErrReaderClosed   = errors.New("reader closed")
	ErrMessagesLost   = errors.New("messages were lost on the way")
	ErrReaderStalled  = errors.New("the server has gone silent")
	ErrConnectionLost = errors.New("connection lost")
	ErrConsumerGone   = errors.New("the server ended the reading")
)

// reader reads through an ephemeral pull consumer without acknowledgements.
// The server numbers what it delivers, so a gap in those numbers, also one
// that only a heartbeat tells of, is a lost message.
//
// It is made from a plain subscription because the client library's consumers
// take a stored message with an empty payload and a Status header for an
// answer of the server: one such message would end every reading.
type reader struct {
	client   *Client
	consumer string
	sub      *nats.Subscription
	msgs     chan *nats.Msg
	states   chan nats.Status // of the connection, when it is lost
	denied   *violationWaiter // once it may not ask for messages, or hear them
	heard    bool             // that some came, or a sign of life
	undeny   func()
	done     chan struct{}
	once     sync.Once
	prefetch prefetch

	from   uint64               // where reading began
	last   uint64               // position of the last message taken
	number uint64               // its number among those delivered
	held   *projections.Message // taken, but beyond the last call's bound
	err    error                // why it ended
}

// Open implements [engine.Source]. The reader is for one goroutine, but
// for Close, and holds at most 32,768 messages and Config.ReadAhead (or twice
// the server's largest message) that were not handed out yet. A Next that its
// context ends loses nothing and may be called again.
func (c *Client) Open(ctx context.Context, after uint64) (engine.Reader, error) {
	return c.open(ctx, after)
}

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
	return c.through(cons.CachedInfo(), after)
}

// through reads through a consumer, which it removes when it is closed.
func (c *Client) through(cons *jetstream.ConsumerInfo, after uint64) (_ *reader, err error) {
	r := &reader{
		client:   c,
		consumer: cons.Name,
		msgs:     make(chan *nats.Msg, maxInFlight+statusRoom),
		states:   c.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED),
		done:     make(chan struct{}),
		from:     after,
	}
	r.denied, r.undeny = c.violations.watch(c.pullSubject(), true)
	inbox := c.nc.NewInbox()
	r.prefetch = prefetch{inbox: inbox + ".", budget: budget(c.cfg.PrefetchBytes, c.nc.MaxPayload()), request: func(reply string, body []byte) error {
		return c.nc.PublishRequest(c.pullSubject()+r.consumer, reply, body)
	}}
	r.prefetch.within(allowed(cons.Config), c.nc.MaxPayload())
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
		r.undeny()
		r.client.nc.RemoveStatusListener(r.states)
		// Both are mere tidiness: the server drops an idle consumer by itself.
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
			return buf, nil // no more is ready
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
			r.err = fmt.Errorf("reading after %d: %w", max(r.from, r.last), err)
			if first {
				return buf, r.err
			}
			return buf, nil // what came before is sound; the next call fails
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

// take takes what was delivered next. Where nothing is there, it waits, or
// returns nil.
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
	alarm := time.NewTimer(heartbeatTimeout)
	defer alarm.Stop()
	select {
	case raw, ok := <-r.msgs:
		return taken(raw, ok)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.done:
		return nil, ErrReaderClosed
	case <-r.states:
		return nil, ErrConnectionLost
	case <-r.denied.done:
		return nil, r.client.violations.denied(r.denied, r.client.pullSubject())
	case <-alarm.C:
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

// accept checks that nothing is missing before what was delivered. ok is false
// where it is a status, or at or before the position that reading began at.
func (r *reader) accept(raw *nats.Msg) (m projections.Message, ok bool, err error) {
	if !r.heard {
		r.heard = true
		r.client.violations.hear(r.denied)
	}
	// Told apart by the reply subject: a message may carry any header, also
	// those of a status.
	if raw.Reply == "" {
		return m, false, r.prefetch.status(raw, r.number)
	}
	d, err := parseReply(raw.Reply)
	switch {
	case err != nil:
		return m, false, fmt.Errorf("%w: %w", ErrConsumerGone, err)
	case d.consumer != r.number+1:
		return m, false, fmt.Errorf("%w: delivery %d follows %d", ErrMessagesLost, d.consumer, r.number)
	case d.stream <= r.last:
		return m, false, fmt.Errorf("%w: position %d follows %d", ErrMessagesLost, d.stream, r.last)
	}
	r.number, r.last = d.consumer, d.stream
	if err := r.prefetch.taken(raw.Size()); err != nil {
		return m, false, err
	}
	if d.stream <= r.from {
		return m, false, nil // reading began beyond the end of the stream
	}
	m.Position, m.Time = d.stream, d.at
	m.Subject, m.Partition = SplitSubject(raw.Subject)
	m.Header, m.Data = raw.Header, raw.Data
	return m, true, nil
}
