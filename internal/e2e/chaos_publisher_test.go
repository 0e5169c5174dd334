package e2e

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"accountexport/internal/workload"
)

// eventPublisher publishes a workload at a rate, and each message until the server acknowledges it.
// A retry has the same Nats-Msg-Id.
type eventPublisher struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	progress *progress
	workers  sync.WaitGroup
	stop     context.CancelFunc

	mu      sync.Mutex
	from    *workload.Generator
	made    int
	acked   map[string]uint64 // position by id
	retries int
	last    uint64 // highest position acknowledged
}

// publishers is how many messages are in flight at once, as with several instances of a producer.
const publishers = 8

func startPublisher(ctx context.Context, url string, from *workload.Generator, perSecond int) (*eventPublisher, error) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // errors are expected, and show as messages that are not acknowledged
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	p := &eventPublisher{nc: nc, js: js, from: from, progress: newProgress(), acked: map[string]uint64{}}
	drawing, stop := context.WithCancel(ctx)
	p.stop = stop
	limit := rate.NewLimiter(rate.Limit(perSecond), publishers)
	for range publishers {
		p.workers.Go(func() {
			for limit.Wait(drawing) == nil {
				p.publish(ctx)
			}
		})
	}
	return p, nil
}

// publish publishes the next message until it is acknowledged.
func (p *eventPublisher) publish(ctx context.Context) {
	p.mu.Lock()
	m := p.from.Next()
	p.made++
	id := fmt.Sprintf("chaos-%d", p.made)
	p.mu.Unlock()
	for ctx.Err() == nil {
		msg := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header{}}
		for k, v := range m.Header {
			msg.Header[k] = v
		}
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		ack, err := p.js.PublishMsg(once, msg, jetstream.WithMsgID(id))
		cancel()
		if err == nil {
			p.progress.advanced(0)
			p.mu.Lock()
			p.acked[id], p.last = ack.Sequence, max(p.last, ack.Sequence)
			p.mu.Unlock()
			return
		}
		p.mu.Lock()
		p.retries++
		p.mu.Unlock()
		_ = sleep(ctx, 50*time.Millisecond)
	}
}

// end stops making messages, and waits until those that were made are acknowledged.
func (p *eventPublisher) end() {
	p.stop()
	p.workers.Wait()
	p.nc.Close()
}

// acknowledged waits for a message that is published from now on, and returns its position.
func (p *eventPublisher) acknowledged(ctx context.Context) (uint64, error) {
	p.mu.Lock()
	before := p.made + publishers // those in flight may be stored already
	p.mu.Unlock()
	for {
		p.mu.Lock()
		position := p.acked[fmt.Sprintf("chaos-%d", before)]
		p.mu.Unlock()
		if position > 0 {
			return position, nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("nothing is acknowledged: %w", err)
		}
	}
}

// burst publishes n further messages as fast as possible.
func (p *eventPublisher) burst(ctx context.Context, n int) {
	const workers = 64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range n / workers {
				p.publish(ctx)
			}
		})
	}
	all.Wait()
}
