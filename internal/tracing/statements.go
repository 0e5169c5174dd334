package tracing

import (
	"context"
	"sync/atomic"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nospans "go.opentelemetry.io/otel/trace/noop"
)

// Statements gives each statement a span with its text, below the span of its context,
// and none where there is no such span: what a program does by itself every second is not
// traced. It is nil where tracing is off.
func (t *Tracing) Statements() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(discreetProvider{t.provider}),
		otelpgx.WithMeterProvider(noop.NewMeterProvider()), otelpgx.WithDisableConnectionDetailsInAttributes())
}

// maxStatements is how many statements one span has below it at most: some acts run for
// hours, and wait for something by asking again and again.
const maxStatements = 256

// statementsLeft is the key of how many statements more the span of a context may have.
type statementsLeft struct{}

// withStatements lets the span of ctx have statements below it.
func withStatements(ctx context.Context) context.Context { return within(ctx, statements()) }

// statements is how many one span may have.
func statements() *atomic.Int64 {
	left := new(atomic.Int64)
	left.Store(maxStatements)
	return left
}

// within is ctx for the statements that are left.
func within(ctx context.Context, left *atomic.Int64) context.Context {
	return context.WithValue(ctx, statementsLeft{}, left)
}

// discreetProvider makes spans that keep the texts of errors to themselves: PostgreSQL's
// repeat values, and so do pgx's of arguments that cannot be encoded.
type discreetProvider struct{ trace.TracerProvider }

// Tracer implements [trace.TracerProvider].
func (p discreetProvider) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return discreetTracer{p.TracerProvider.Tracer(name, opts...)}
}

type discreetTracer struct{ trace.Tracer }

// Start implements [trace.Tracer].
func (t discreetTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	if left, ok := ctx.Value(statementsLeft{}).(*atomic.Int64); !ok || left.Add(-1) < 0 {
		return trace.ContextWithSpan(ctx, nospans.Span{}), nospans.Span{}
	}
	ctx, span := t.Tracer.Start(ctx, name, opts...)
	span = discreetSpan{span}
	return trace.ContextWithSpan(ctx, span), span
}

type discreetSpan struct{ trace.Span }

// RecordError implements [trace.Span].
func (discreetSpan) RecordError(error, ...trace.EventOption) {}

// SetStatus implements [trace.Span].
func (s discreetSpan) SetStatus(code codes.Code, _ string) { s.Span.SetStatus(code, "") }
