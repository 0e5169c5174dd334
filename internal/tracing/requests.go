package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Answered is what a request has come to. All of it is of a small set of words.
type Answered struct {
	Route  string // the path, where it is one of the API's own
	Status int
	Reason string // why the status is 503; empty otherwise
}

// Request begins the span of a request. Its client's traceparent gives a link: anybody
// can send one. Where the client is trusted, as a gateway, its trace goes on here, and
// whether it is sampled is the gateway's to say, as far as the sampler asks it.
func (t *Tracing) Request(r *http.Request, method string, trusted bool) (_ context.Context, end func(Answered)) {
	ctx := r.Context()
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", method))}
	if of := parse(r.Header["Traceparent"]); of.IsValid() {
		if trusted {
			ctx = trace.ContextWithRemoteSpanContext(ctx, of)
		} else {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: of}))
		}
	}
	ctx, span := t.tracer.Start(ctx, method, opts...)
	return withStatements(ctx), func(a Answered) {
		span.SetName(method + " " + a.Route)
		span.SetAttributes(attribute.String("http.route", a.Route), attribute.Int("http.response.status_code", a.Status))
		if a.Reason != "" {
			span.SetAttributes(attribute.String("reason", a.Reason))
		}
		if a.Status >= 500 {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
