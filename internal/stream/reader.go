package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/projections"
)

// What may be on its way to or waiting in a reader.
const (
	pullMessages  = 32_768
	pullBytes     = 16 << 20
	waitMessages  = 32_768
	waitBytes     = 32 << 20
	heartbeat     = 5 * time.Second
	pullExpiry    = 30 * time.Second
	inactiveAfter = 5 * time.Minute
)

// Open implements [projections.Source]: an ephemeral pull consumer without
// acknowledgements. The server numbers what it delivers, so a gap shows; after
// one, a missed heartbeat or a deleted consumer, Next first returns what came
// before and then an error.
func (c *Client) Open(ctx context.Context, after uint64) (projections.Reader, error) {
	return c.open(ctx, after, "")
}

func (c *Client) open(ctx context.Context, after uint64, filter string) (*reader, error) {
	rctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cons, err := c.js.CreateConsumer(rctx, c.cfg.Stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       after + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubject:     filter,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveAfter,
	})
	if err != nil {
		return nil, fmt.Errorf("consumer after %d: %w", after, c.explain(err))
	}
	r := &reader{last: after, ready: make(chan struct{}, 1), consumer: cons.CachedInfo().Name, client: c}
	r.room = sync.NewCond(&r.mu)
	r.consume, err = cons.Consume(r.take,
		jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(heartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { r.trouble(err) }))
	if err != nil {
		return nil, fmt.Errorf("consume after %d: %w", after, err)
	}
	return r, nil
}

type reader struct {
	client   *Client
	consumer string
	consume  jetstream.ConsumeContext
	ready    chan struct{} // something is there, or err is set

	mu     sync.Mutex
	room   *sync.Cond // there is room again, or err is set
	buf    []projections.Message
	bytes  int
	last   uint64 // stream sequence of the last message taken
	number uint64 // consumer sequence of it
	err    error
}

// take is called by one goroutine, in order. Waiting here holds further pulls
// back, so what is in flight is bounded.
func (r *reader) take(msg jetstream.Msg) {
	meta, err := parseReply(msg.Reply())
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return
	case err != nil:
		r.fail(err)
		return
	case meta.consumer != r.number+1:
		r.fail(fmt.Errorf("gap: delivery %d follows %d", meta.consumer, r.number))
		return
	case meta.stream <= r.last:
		r.fail(fmt.Errorf("out of order: message %d follows %d", meta.stream, r.last))
		return
	}
	r.number, r.last = meta.consumer, meta.stream
	subject, partition := SplitSubject(msg.Subject())
	m := projections.Message{Position: meta.stream, Time: meta.at, Partition: partition,
		Message: events.Message{Subject: subject, Header: msg.Headers(), Data: msg.Data()}}
	for r.err == nil && (len(r.buf) >= waitMessages || r.bytes >= waitBytes) {
		r.room.Wait()
	}
	r.buf = append(r.buf, m)
	r.bytes += m.Size()
	r.signal()
}

// trouble is what the client library noticed: a heartbeat that did not come,
// or a consumer that is gone. Reading anew is always safe.
func (r *reader) trouble(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buf) > 0 && errors.Is(err, jetstream.ErrNoHeartbeat) {
		return // it is we who keep the server waiting
	}
	r.fail(err)
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("reading after %d: %w", r.last, err)
		r.room.Broadcast()
		r.signal()
	}
}

func (r *reader) signal() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Next implements [projections.Reader].
func (r *reader) Next(ctx context.Context, buf []projections.Message, bound projections.Bound) ([]projections.Message, error) {
	for {
		r.mu.Lock()
		if len(r.buf) > 0 {
			buf = r.give(buf, bound)
			r.mu.Unlock()
			return buf, nil
		}
		err := r.err
		r.mu.Unlock()
		if err != nil {
			return buf, err
		}
		select {
		case <-ctx.Done():
			return buf, ctx.Err()
		case <-r.ready:
		}
	}
}

// give moves what is waiting, up to the bound and at least one, to buf.
func (r *reader) give(buf []projections.Message, bound projections.Bound) []projections.Message {
	n, size := 0, 0
	for n < len(r.buf) && (n == 0 || n < bound.Events && size < bound.Bytes) {
		size += r.buf[n].Size()
		n++
	}
	buf = append(buf, r.buf[:n]...)
	rest := copy(r.buf, r.buf[n:])
	clear(r.buf[rest:])
	r.buf = r.buf[:rest]
	r.bytes -= size
	r.room.Broadcast()
	if rest > 0 || r.err != nil {
		r.signal()
	}
	return buf
}

// errClosed is what a reader says after Close.
var errClosed = errors.New("reader closed")

// Close implements [projections.Reader].
func (r *reader) Close() {
	r.mu.Lock()
	r.fail(errClosed)
	r.mu.Unlock()
	r.consume.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// Where this fails, the server removes the consumer after inactiveAfter.
	_ = r.client.js.DeleteConsumer(ctx, r.client.cfg.Stream, r.consumer)
}

type delivery struct {
	stream, consumer uint64
	at               time.Time
}

// parseReply reads the reply subject of a delivery,
// $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<stream
// sequence>.<consumer sequence>.<time>.<pending>[.<random>].
func parseReply(reply string) (d delivery, err error) {
	var tokens [12]string
	n := 0
	for rest := reply; n < len(tokens); n++ {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			tokens[n] = rest
			n++
			break
		}
		tokens[n], rest = rest[:i], rest[i+1:]
	}
	at := 5
	switch {
	case tokens[0] != "$JS" || tokens[1] != "ACK" || n < 9:
		return d, fmt.Errorf("delivery without a position: reply subject %q", reply)
	case n >= 11:
		at = 7
	}
	var ns int64
	if d.stream, err = strconv.ParseUint(tokens[at], 10, 64); err == nil {
		if d.consumer, err = strconv.ParseUint(tokens[at+1], 10, 64); err == nil {
			ns, err = strconv.ParseInt(tokens[at+2], 10, 64)
		}
	}
	if err != nil {
		return d, fmt.Errorf("delivery without a position: reply subject %q", reply)
	}
	d.at = time.Unix(0, ns)
	return d, nil
}
