package tracing

import (
	"context"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// maxLinks is how many traces of messages a batch is linked to at most.
const maxLinks = 128

// links are the spans that one span is linked to.
type links struct {
	to   map[trace.SpanID]struct{}
	last string // traceparent that was looked at: those of an import are all the same
}

func (l *links) full() bool { return len(l.to) >= maxLinks }

func newLinks() *links { return &links{to: map[trace.SpanID]struct{}{}} }

// add links the span to the one that a message's header names, if that is sampled and is
// not linked yet.
func (l *links) add(span trace.Span, of map[string][]string) {
	values := of[header]
	if len(values) != 1 || values[0] == l.last {
		return
	}
	l.last = values[0]
	to := parse(values)
	if _, linked := l.to[to.SpanID()]; !to.IsValid() || !to.IsSampled() || linked {
		return
	}
	l.to[to.SpanID()] = struct{}{}
	span.AddLink(trace.Link{SpanContext: to})
}

// Batches follows the batches of a projector; nil where tracing is off.
func (t *Tracing) Batches() engine.Tracer {
	if t == nil {
		return nil
	}
	return batches{t.tracer}
}

type batches struct{ tracer trace.Tracer }

// Begin implements [engine.Tracer].
func (b batches) Begin(generation int64) engine.BatchTrace {
	ctx, span := b.tracer.Start(context.Background(), "batch", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.Int64("generation", generation)))
	if !span.IsRecording() {
		return nil
	}
	_, fold := b.tracer.Start(ctx, "fold")
	return &batch{tracer: b.tracer, span: span, fold: fold, links: newLinks(), statements: statements()}
}

// batch is the trace of one batch.
type batch struct {
	tracer     trace.Tracer
	span, fold trace.Span
	links      *links
	statements *atomic.Int64 // that it may have while it is folded
}

// Fold implements [engine.BatchTrace].
func (b *batch) Fold(ctx context.Context, messages []projections.Decoded) context.Context {
	for i := 0; i < len(messages) && !b.links.full(); i++ {
		b.links.add(b.span, messages[i].Header)
	}
	return within(trace.ContextWithSpan(ctx, b.fold), b.statements)
}

// Commit implements [engine.BatchTrace].
func (b *batch) Commit(ctx context.Context, events int, advances []engine.Advance) (context.Context, func(error)) {
	b.fold.End()
	from, to := uint64(0), uint64(0)
	partitions := make([]int, 0, len(advances))
	for i, a := range advances {
		if partitions = append(partitions, a.Partition); i == 0 || a.From < from {
			from = a.From
		}
		to = max(to, a.To)
	}
	slices.Sort(partitions)
	b.span.SetAttributes(attribute.Int("events", events), attribute.IntSlice("partitions", partitions),
		attribute.Int64("position.after", int64(from)), attribute.Int64("position", int64(to)))
	ctx, commit := b.tracer.Start(trace.ContextWithSpan(ctx, b.span), "commit")
	return withStatements(ctx), func(err error) { finish(commit, err) }
}

// Context implements [engine.BatchTrace].
func (b *batch) Context(ctx context.Context) context.Context {
	return trace.ContextWithSpan(ctx, b.span)
}

// End implements [engine.BatchTrace].
func (b *batch) End(err error) {
	b.fold.End() // where it was not committed; otherwise it has ended
	finish(b.span, err)
}
