package outbox

import (
	"context"
	"maps"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceHeader is the header that passes a trace on, in the case that it has in NATS.
const traceHeader = "traceparent"

// traceparent is the span of ctx, as Trace Context writes it; empty where ctx has
// none.
func traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceHeader]
}

// withTraceparent is a header with a traceparent, or the header itself where there is
// none, or it has one already. The header itself is not changed.
func withTraceparent(header map[string][]string, traceparent string) map[string][]string {
	if traceparent == "" || header[traceHeader] != nil {
		return header
	}
	out := make(map[string][]string, len(header)+1)
	maps.Copy(out, header)
	out[traceHeader] = []string{traceparent}
	return out
}
