package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/outbox"
	"accountexport/projections"
)

// TestATracedWriterHoldsNothingUp: an event that fits without the traceparent that
// outbox.Write has given it is published without it, and what comes after it as well.
func TestATracedWriterHoldsNothingUp(t *testing.T) {
	a := newArena(t)
	const most = 1000
	a.reconfigure(t, func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = most })
	traced := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: trace.FlagsSampled}))
	want := map[string][]string{}
	for n := range 12 { // from events that fit with a traceparent to those that do not
		to := account(n + 1)
		m, err := events.NewSandboxCreated(events.Meta{ID: fmt.Sprintf("large-%02d", n), Source: "/test", Time: events.TimeOf(time.Now())}, to,
			events.SandboxCreated{ID: "s", Template: strings.Repeat("x", 400+20*n)})
		if err != nil {
			t.Fatal(err)
		}
		next := increment(t, fmt.Sprintf("next-%02d", n), to)
		err = pgx.BeginFunc(traced, a.pool, func(tx pgx.Tx) error { return outbox.Write(traced, tx, m, next) })
		if err != nil {
			t.Fatal(err)
		}
		want[m.Subject] = []string{fmt.Sprintf("large-%02d", n), fmt.Sprintf("next-%02d", n)}
	}
	a.relay(t, Options{Retry: 200 * time.Millisecond})
	a.drained(t, 0)
	if diff := cmp.Diff(want, a.stored(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	with, without := 0, 0
	err := a.client.ReadAll(t.Context(), func(m projections.Message) error {
		if strings.HasPrefix(stream.MessageID(m), "large-") {
			if m.Header["traceparent"] != nil {
				with++
			} else {
				without++
			}
		}
		return nil
	})
	if err != nil || with == 0 || without == 0 {
		t.Errorf("%d have a traceparent and %d have none, want some of both: %v", with, without, err)
	}
}
