package engine

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"accountexport/projections"
)

// tracer follows every batch, and knows which of them are under way.
type tracer struct {
	t *testing.T

	mu     sync.Mutex // guards what follows
	begun  int
	open   map[*trace]bool
	failed int
	stored int // messages of batches that are stored
}

// trace is a batch. Its fields are of the goroutine that the engine promises.
type trace struct {
	of         *tracer
	id         int
	events     int
	committing bool
}

type traceKey struct{}

func (r *tracer) Begin(int64) BatchTrace {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	b := &trace{of: r, id: r.begun}
	r.open[b] = true
	return b
}

func (b *trace) Fold(ctx context.Context, messages []projections.Decoded) context.Context {
	if len(messages) == 0 || b.committing {
		b.of.t.Errorf("batch %d: %d messages are folded, committing: %v", b.id, len(messages), b.committing)
	}
	return b.Context(ctx)
}

func (b *trace) Commit(ctx context.Context, events int, _ []Advance) (context.Context, func(error)) {
	if b.committing {
		b.of.t.Errorf("batch %d is committed while it is committed", b.id)
	}
	b.committing, b.events = true, events
	return b.Context(ctx), func(error) { b.committing = false }
}

func (b *trace) End(err error) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if !b.of.open[b] || b.committing {
		b.of.t.Errorf("batch %d ends again, or while it is committed", b.id)
	}
	delete(b.of.open, b)
	if err != nil {
		b.of.failed++
		return
	}
	b.of.stored += b.events
}

func (b *trace) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, traceKey{}, b.id)
}

// batchInContext adds the batch of a line's context to it.
type batchInContext struct{ slog.Handler }

func (h batchInContext) Handle(ctx context.Context, line slog.Record) error {
	if id, ok := ctx.Value(traceKey{}).(int); ok {
		line.AddAttrs(slog.Int("batch", id))
	}
	return h.Handler.Handle(ctx, line)
}

// TestEveryBatchIsFollowedToItsEnd: while partitions are fenced, and also while loads and
// commits fail at random, each batch that was begun ends once, those that are stored hold
// every message once, and the line about a restart names the batch that failed.
func TestEveryBatchIsFollowedToItsEnd(t *testing.T) {
	for _, failing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			random := newRandom(7)
			messages := newGenerator(7, 8).stream(1000)
			source, rs := newMemorySource(nil), newReplicas(t)
			source.random, rs.slow = random, random
			if failing {
				rs.faults = newFaults(random, 10, 40)
			}
			var log bytes.Buffer
			follow := &tracer{t: t, open: map[*trace]bool{}}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			engine := New(source, rs.join(), Options{Lanes: 2, CacheBytes: 100 << 10, Read: Bound{30, 1 << 20}, Batch: Bound{80, 1 << 20}, Tracer: follow,
				Logger: slog.New(batchInContext{slog.NewTextHandler(&log, nil)})})
			go func() { ended <- engine.Run(ctx) }()
			for i := 0; i < len(messages); i += 100 {
				source.add(messages[i : i+100]...)
				rs.touch(1)
				<-time.After(time.Duration(random.IntN(200)) * time.Millisecond)
			}
			rs.wait(source.info.Last)
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			// Where a session ends, what became of a commit under way is not asked any more.
			if len(follow.open) > 0 || failing && follow.failed == 0 || follow.stored > len(messages) || !failing && follow.stored < len(messages) {
				t.Errorf("of %d batches %d did not end, %d failed, and %d messages of %d were stored", follow.begun, len(follow.open), follow.failed, follow.stored, len(messages))
			}
			named := 0
			for line := range bytes.Lines(log.Bytes()) {
				if bytes.Contains(line, []byte("starting again")) && bytes.Contains(line, []byte(" batch=")) {
					named++
				}
			}
			if failing && named == 0 {
				t.Errorf("no restart names its batch: %s", fmt.Sprintf("%.2000s", log.String()))
			}
		})
	}
}

// TestNoTracerCostsNothing: without a tracer, asking for one allocates nothing, whatever
// messages have in their headers.
func TestNoTracerCostsNothing(t *testing.T) {
	l := newLane(newMemoryStore(t), Ownership{}, nil, Bound{10, 1 << 20}, 1<<20)
	messages := make([]projections.Decoded, 100)
	for i := range messages {
		messages[i].Header = map[string][]string{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if l.traceFold(ctx, messages) != ctx || l.cur.failed(nil) != nil || l.cur.trace != nil {
			t.Error("something is followed")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
