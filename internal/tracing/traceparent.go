package tracing

import (
	"context"
	"maps"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// header is the name by which a trace is passed on in NATS headers, in which case
// matters.
const header = "traceparent"

// maxTraceparent is how long a traceparent may be: one of version 00 has 55 characters,
// and later ones may have more.
const maxTraceparent = 128

// carrier has a traceparent alone: what comes with it in other headers is not taken on,
// since it has no bound and says nothing that is used.
type carrier struct{ traceparent string }

func (c *carrier) Get(key string) string {
	if key == header {
		return c.traceparent
	}
	return ""
}

func (c *carrier) Set(key, value string) {
	if key == header {
		c.traceparent = value
	}
}

func (c *carrier) Keys() []string { return []string{header} }

// Traceparent is how the span of ctx is passed on; empty where there is none.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return c.traceparent
}

// parse reads a traceparent. The span context is not valid where it is not right, also
// where there are several.
func parse(values []string) trace.SpanContext {
	if len(values) != 1 || len(values[0]) > maxTraceparent {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), &carrier{values[0]})
	return trace.SpanContextFromContext(ctx)
}

// WithTraceparent is a header with a traceparent, or the header itself where that is
// empty, or the header has one of its own. The header itself is not changed.
func WithTraceparent(of map[string][]string, traceparent string) map[string][]string {
	if traceparent == "" || HasTraceparent(of) {
		return of
	}
	out := make(map[string][]string, len(of)+1)
	maps.Copy(out, of)
	out[header] = []string{traceparent}
	return out
}

// WithoutTraceparent is a header without any traceparent. The header itself is not changed.
func WithoutTraceparent(of map[string][]string) map[string][]string {
	if !HasTraceparent(of) {
		return of
	}
	out := maps.Clone(of)
	delete(out, header)
	delete(out, "Traceparent")
	return out
}

// HasTraceparent tells whether a header has a traceparent, whether it is right or not.
func HasTraceparent(of map[string][]string) bool {
	return of[header] != nil || of["Traceparent"] != nil
}
