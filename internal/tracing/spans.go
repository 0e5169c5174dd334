package tracing

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Command begins the span of a command, from which end takes its error.
func (t *Tracing) Command(ctx context.Context, name string) (_ context.Context, end func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	kind := trace.SpanKindInternal
	if name == "projector publish" || name == "projector import" {
		kind = trace.SpanKindProducer
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithNewRoot(), trace.WithSpanKind(kind))
	return withStatements(ctx), func(err error) { finish(span, err) }
}

// Relay begins the span of so many messages that are published together, with links to
// the traces that they have in their headers.
func (t *Tracing) Relay(ctx context.Context, messages int, headerOf func(i int) map[string][]string) (_ context.Context, end func(error)) {
	ctx, span := t.tracer.Start(ctx, "relay", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.Int("events", messages)))
	if span.IsRecording() {
		linked := newLinks()
		for i := 0; i < messages && !linked.full(); i++ {
			linked.add(span, headerOf(i))
		}
	}
	return ctx, func(err error) { finish(span, err) }
}

// Phase begins a span below that of ctx, as of one part of an act. Where ctx has none, it
// does nothing.
func Phase(ctx context.Context, name string) (_ context.Context, end func(error)) {
	above := trace.SpanFromContext(ctx)
	if !above.IsRecording() {
		return ctx, noEnd
	}
	ctx, span := above.TracerProvider().Tracer("accountexport").Start(ctx, name)
	return withStatements(ctx), func(err error) { finish(span, err) }
}

func noEnd(error) {}

// finish ends a span with what an error may tell: of the database's its SQLSTATE. Others'
// texts name accounts.
func finish(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
		if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
			span.SetAttributes(attribute.String("db.response.status_code", refused.Code))
		}
	}
	span.End()
}
