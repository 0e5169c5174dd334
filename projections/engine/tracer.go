package engine

import (
	"context"
	"errors"

	"accountexport/projections"
)

// Tracer follows batches, for traces. Its methods are called by several lanes at the
// same time, and must not block.
type Tracer interface {
	// Begin is called by a lane with the first messages of a batch; nil where that batch
	// is not followed.
	Begin(generation int64) BatchTrace
}

// BatchTrace follows one batch. Its methods are called by one goroutine at a time, in
// this order: Fold again and again, Commit for each attempt, and End once. Whatever it
// is told of messages must not change what becomes of them.
type BatchTrace interface {
	// Fold is called with the messages that are about to be folded together. The
	// context is that in which the store is asked for what they need.
	Fold(ctx context.Context, messages []projections.Decoded) context.Context
	// Commit is called before the batch is committed, with how many messages it has and
	// the checkpoints that it moves; done is called afterwards. The context is that in
	// which the store commits.
	Commit(ctx context.Context, events int, advances []Advance) (_ context.Context, done func(error))
	// End is called when the batch is stored, or, with an error, when it is given up.
	End(error)
	// Context is a context for what is logged of the batch.
	Context(ctx context.Context) context.Context
}

// traceFold has the current batch followed from its first messages on.
func (l *lane) traceFold(ctx context.Context, messages []projections.Decoded) context.Context {
	if l.tracer == nil || len(messages) == 0 {
		return ctx
	}
	if !l.cur.asked {
		l.cur.asked, l.cur.trace = true, l.tracer.Begin(l.generation)
	}
	if l.cur.trace == nil {
		return ctx
	}
	return l.cur.trace.Fold(ctx, messages)
}

// errGivenUp ends the trace of a batch that was not begun to be committed: its messages
// are read again.
var errGivenUp = errors.New("the batch was given up")

// endTraces ends the traces of batches that are not stored, as far as is known.
func (l *lane) endTraces() {
	for _, b := range []*batchBuilder{l.cur, l.abandoned} {
		if b != nil && b.trace != nil {
			b.trace.End(errGivenUp)
			b.trace = nil
		}
	}
}

// batchError is the error of committing a batch, with a context for the line that logs
// it.
type batchError struct {
	error
	of BatchTrace
}

func (e batchError) Unwrap() error { return e.error }

// failed is an error of the batch, for the log.
func (b *batchBuilder) failed(err error) error {
	if b.trace == nil {
		return err
	}
	return batchError{err, b.trace}
}

// logContext is the context of the line that logs an error.
func logContext(ctx context.Context, err error) context.Context {
	var failed batchError
	if errors.As(err, &failed) {
		return failed.of.Context(ctx)
	}
	return ctx
}
