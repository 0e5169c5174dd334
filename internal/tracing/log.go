package tracing

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Logger is a logger whose lines also say which trace and span they belong to, by their
// context, as trace_id and span_id. Where tracing is off, it is log itself.
func (t *Tracing) Logger(log *slog.Logger) *slog.Logger {
	if t == nil {
		return log
	}
	return slog.New(withSpan{log.Handler()})
}

// withSpan adds the span of a line's context.
type withSpan struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h withSpan) Handle(ctx context.Context, line slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		line = line.Clone()
		line.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs implements [slog.Handler].
func (h withSpan) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withSpan{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h withSpan) WithGroup(name string) slog.Handler { return withSpan{h.Handler.WithGroup(name)} }
