package ingest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"accountexport/internal/local/natsserver"
)

// inTrace is a context with a span.
func inTrace(ctx context.Context) (_ context.Context, traceparent string) {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: trace.FlagsSampled})), "00-01000000000000000000000000000000-0200000000000000-01"
}

// TestATraceIsPassedOn: messages have the traceparent of the span that they are published
// in, or their own, or none where there is no span. A retry under another span finds what
// the first has stored.
func TestATraceIsPassedOn(t *testing.T) {
	ctx := deadline(t)
	traced, here := inTrace(ctx)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), 100*time.Millisecond)
	own := item(1, 3)
	own.Message.Header = map[string][]string{"traceparent": {"their own"}, "Content-Type": own.Message.Header["Content-Type"]}
	items := []Item{item(0, 3), own, item(2, 3)}
	at := map[int]uint64{}
	p := New(c, Options{})
	if err := p.Publish(traced, items[:2], 0, func(i int, a Ack) { at[i] = a.Position }); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(ctx, items[2:], 0, func(_ int, a Ack) { at[2] = a.Position }); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{here}, {"their own"}, nil} {
		m, err := c.Get(ctx, at[i])
		if err != nil || !slices.Equal(m.Header["traceparent"], want) {
			t.Errorf("item %d has the traceparent %q, want %q: %v", i, m.Header["traceparent"], want, err)
		}
	}
	if items[0].Message.Header["traceparent"] != nil {
		t.Error("the caller's message has a traceparent")
	}
	again := items[:1]
	again[0].Tried = true
	if err := New(c, Options{}).Publish(ctx, again, 0, func(_ int, a Ack) {
		if !a.Found || a.Position != at[0] {
			t.Errorf("published again, without a span: %+v, and it is at %d", a, at[0])
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// TestATraceparentRefusesNothing: a message that fits without a traceparent, and not with
// one, is stored without.
func TestATraceparentRefusesNothing(t *testing.T) {
	ctx := deadline(t)
	traced, here := inTrace(ctx)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), time.Minute)
	const most = 1000
	reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = most })
	without, with := 0, 0
	for n := range 20 { // with as many bytes as may fit, and ten fewer each time
		it := item(n, 20)
		it.Message.Data = make([]byte, most-150-10*n)
		err := New(c, Options{}).Publish(traced, []Item{it}, 0, func(_ int, a Ack) {
			m, err := c.Get(ctx, a.Position)
			switch {
			case err != nil:
				t.Error(err)
			case m.Header["traceparent"] == nil:
				without++
			case m.Header["traceparent"][0] == here:
				with++
			}
		})
		untraced := it
		untraced.ID += "-untraced"
		if plain := New(c, Options{}).Publish(ctx, []Item{untraced}, 0, func(int, Ack) {}); (err == nil) != (plain == nil) {
			t.Errorf("%d bytes: %v with a trace, and %v without", len(it.Message.Data), err, plain)
		}
	}
	if without == 0 || with == 0 {
		t.Errorf("%d messages were stored without a traceparent, and %d with one", without, with)
	}
}
