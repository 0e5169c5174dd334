package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// inFlightCommit is a commit under way: the batch as it is written, and the
// builder that it was made by.
type inFlightCommit struct {
	*batchBuilder
	batch *Batch
	start time.Time
	done  func(error) // tells the trace how the commit has ended; nil without one
}

// committedBatch describes a commit that has succeeded.
type committedBatch struct {
	*batchBuilder
	advances []Advance
	took     time.Duration
}

// startCommit begins to commit the current batch, and makes an empty one the current
// one. No commit may be under way.
func (l *lane) startCommit(ctx context.Context) error {
	b, err := l.cur.build(l.generation, l.cache)
	if err != nil {
		return err
	}
	b.Advances = l.advances()
	f := &inFlightCommit{batchBuilder: l.cur, batch: b, start: time.Now()}
	l.beginBatch()
	l.commitInBackground(ctx, f)
	return nil
}

// commitInBackground has a goroutine commit the batch and report to done.
func (l *lane) commitInBackground(ctx context.Context, f *inFlightCommit) {
	l.inFlight = f
	if f.trace != nil {
		ctx, f.done = f.trace.Commit(ctx, f.events, f.batch.Advances)
	}
	go func() { l.done <- l.store.Commit(ctx, f.batch) }()
}

// advances are the checkpoints that the current batch moves: those of partitions
// that it has messages of, or all of them.
func (l *lane) advances() []Advance {
	var out []Advance
	for p, c := range l.checkpoints {
		t := l.cur.touched[p]
		if t == nil && !l.cur.advanceAll {
			continue
		}
		a := Advance{Partition: p, From: c.Position, To: max(c.Position, l.upTo), Epoch: c.Epoch, AsOf: l.cur.asOf}
		if l.cur.advanceAll && l.asOf.After(a.AsOf) {
			a.AsOf = l.asOf
		}
		if a.AsOf.Before(c.AsOf) {
			a.AsOf = c.AsOf
		}
		if t != nil {
			a.Tally, a.Last = t.tally, t.last
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(x, y Advance) int { return x.Partition - y.Partition })
	return out
}

// finish handles the result of the commit under way. Where it was refused for some
// of its partitions only, another commit is under way afterwards, without them.
// Any other error ends the session: the batch may or may not be stored, so the
// states in memory are of no use.
func (l *lane) finish(ctx context.Context, err error) error {
	f := l.inFlight
	l.inFlight = nil
	if f.trace != nil {
		f.done(err)
	}
	if errors.Is(err, ErrFenced) && l.rewind != nil {
		err = l.retryWithoutFenced(ctx, f, err)
		if f.trace != nil && l.inFlight == nil {
			f.trace.End(cmp.Or(err, errGivenUp))
		}
		return err
	}
	if f.trace != nil {
		f.trace.End(err)
	}
	if err != nil {
		return f.failed(l.placeBatch(fmt.Errorf("commit: %w", err), f.batchBuilder))
	}
	// The batch is stored. If the program ends anywhere from here on, the stored
	// checkpoints say where to resume.
	for _, a := range f.batch.Advances {
		c := l.checkpoints[a.Partition]
		c.Position, c.AsOf = a.To, a.AsOf
		if a.Last.Position > 0 {
			c.Last = a.Last
		}
	}
	l.cache.committed(f.seq, f.dirty)
	l.observe(&committedBatch{batchBuilder: f.batchBuilder, advances: f.batch.Advances, took: time.Since(f.start)})
	return nil
}

// commit commits the current batch, after the one under way, and waits for both.
func (l *lane) commit(ctx context.Context) error {
	if err := l.rotateBatch(ctx); err != nil {
		return err
	}
	return l.awaitCommit(ctx)
}

// awaitCommit waits for the commit under way, and for those that repeat it.
func (l *lane) awaitCommit(ctx context.Context) error {
	for l.inFlight != nil {
		if err := l.finish(ctx, <-l.done); err != nil {
			return err
		}
	}
	return nil
}

// rotateBatch waits for the commit under way, and begins to commit the current
// batch, if there is something in it.
func (l *lane) rotateBatch(ctx context.Context) error {
	if err := l.awaitCommit(ctx); err != nil {
		return err
	}
	if l.cur.empty() {
		return nil
	}
	return l.startCommit(ctx)
}

// drainCommit waits for the commit under way and ignores its result.
func (l *lane) drainCommit() {
	if l.inFlight != nil {
		if err := <-l.done; l.inFlight.trace != nil {
			l.inFlight.done(err)
			l.abandoned = l.inFlight.batchBuilder
		}
		l.inFlight = nil
	}
}
