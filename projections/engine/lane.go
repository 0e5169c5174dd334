package engine

import (
	"context"
	"errors"
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// laneInput is what a lane is sent: messages in stream order, how far reading has
// come, or a partition that is assigned or revoked.
type laneInput struct {
	messages   []projections.Message
	upTo       uint64 // every message of the lane's partitions up to here was sent
	advanceAll bool   // move the checkpoints of all partitions on to upTo
	assigned   *Checkpoint
	revoked    *int
	asOf       time.Time // with advanceAll: at this time the stream held nothing beyond upTo
}

// laneStore is the part of a [Store] that a lane uses. Several lanes use it at the
// same time.
type laneStore interface {
	Load(ctx context.Context, generation int64, accounts []events.UUID) ([]projections.AccountRow, error)
	Lookup(ctx context.Context, generation int64, lookups []projections.Lookup) ([]projections.LookupResult, error)
	Commit(ctx context.Context, b *Batch) error
	Release(ctx context.Context, generation int64, c Checkpoint) error
	Owned(ctx context.Context, generation int64, partitions []int) ([]Checkpoint, error)
}

// lane folds and commits the messages of some partitions: it has a cache of
// states, one batch that grows, and at most one commit under way. All of it
// belongs to one goroutine, the one that calls run; in RunOnce and RunToEnd, the
// caller's. The one exception is the goroutine of the commit, see inFlight.
type lane struct {
	// Set by newLane or before run, and not changed afterwards. The functions are
	// called by the lane's goroutine and must not block.
	store      laneStore
	generation int64
	bound      Bound
	observe    func(*committedBatch)
	linger     func() time.Duration // how long a batch may grow while more input waits
	rewind     func([]Checkpoint)   // requests that fenced partitions are read again; nil: being fenced ends the session
	released   func(partition int)  // reports a partition that was released
	tracer     Tracer               // follows its batches; nil: nobody does

	// The lane's partitions: as committed, and, for those that were fenced and wait to
	// be read again, where the store has them now.
	checkpoints map[int]*Checkpoint
	fenced      map[int]Checkpoint

	// The states, with the changes of the batch that grows and of the one that is
	// being committed.
	cache *cache

	// The batch that grows.
	seq       uint64 // numbers the batches
	cur       *batchBuilder
	upTo      uint64       // every message of the lane's partitions up to here is folded
	asOf      time.Time    // where cur.advanceAll: at this time the stream held nothing beyond upTo
	groupSize int          // messages that are looked up together, see adaptGroupSize
	group     messageGroup // memory for them

	// The commit under way, nil where there is none. Its goroutine reads
	// inFlight.batch and sends the result to done, and touches nothing else; until
	// then the lane does not touch the batch. done has room for the result, so that
	// goroutine never waits.
	inFlight  *inFlightCommit
	done      chan error
	abandoned *batchBuilder // of a commit whose result nobody learned; nil where there was none
}

// newLane makes a lane of the partitions that the checkpoints are of.
func newLane(s laneStore, own Ownership, checkpoints []Checkpoint, bound Bound, cacheBytes int) *lane {
	l := &lane{store: s, generation: own.Generation, bound: bound, cache: newCache(cacheBytes),
		checkpoints: map[int]*Checkpoint{}, fenced: map[int]Checkpoint{}, done: make(chan error, 1),
		observe: func(*committedBatch) {}, released: func(int) {}, linger: func() time.Duration { return 0 },
		groupSize: initialGroupSize}
	for i, c := range checkpoints {
		l.checkpoints[c.Partition] = &c
		// The lane as a whole has come as far as the partition that is furthest
		// behind: its messages are still to come, though other partitions, which
		// were in another lane before, are past them.
		if i == 0 || c.Position < l.upTo {
			l.upTo = c.Position
		}
	}
	l.beginBatch()
	return l
}

// beginBatch makes an empty batch the current one.
func (l *lane) beginBatch() {
	l.seq++
	l.cur = newBatchBuilder(l.seq)
}

// run folds its input and commits it, until in is closed; then it commits what is
// left. A commit goes on while the next batch is folded. Whatever run returns, no
// commit is under way any more; after an error the last one may or may not have
// been stored.
func (l *lane) run(ctx context.Context, in <-chan laneInput) error {
	defer l.endTraces()
	open := in
	for {
		if !l.cur.empty() && l.inFlight == nil && (l.cur.full(l.bound) || open == nil || l.commitDue(len(in))) {
			if err := l.startCommit(ctx); err != nil {
				return err
			}
		}
		if open == nil && l.cur.empty() && l.inFlight == nil {
			return nil
		}
		next := open
		if l.cur.full(l.bound) {
			next = nil
		}
		select {
		case w, ok := <-next:
			if !ok {
				open = nil
				break
			}
			if err := l.process(ctx, w); err != nil {
				l.drainCommit()
				return err
			}
		case err := <-l.done:
			if err := l.finish(ctx, err); err != nil {
				l.drainCommit()
				return err
			}
		case <-ctx.Done():
			l.drainCommit()
			return ctx.Err()
		}
	}
}

// commitDue reports whether a batch that is not full is to be committed, where so
// many inputs wait: while the lane lingers, once the batch is old enough;
// otherwise as soon as nothing waits.
func (l *lane) commitDue(waiting int) bool {
	if d := l.linger(); d > 0 {
		return time.Since(l.cur.began) >= d
	}
	return waiting == 0
}

// process handles one input.
func (l *lane) process(ctx context.Context, w laneInput) error {
	if w.assigned == nil && w.revoked == nil {
		return l.fold(ctx, w)
	}
	// Everything before an assignment or a revocation is committed first, so all
	// partitions have come equally far.
	if err := l.commit(ctx); err != nil {
		return err
	}
	if w.revoked != nil {
		return l.revoke(ctx, *w.revoked)
	}
	l.assign(*w.assigned)
	return nil
}

// assign adds a partition. It may be behind the others: then the lane as a whole is
// only as far as this partition.
func (l *lane) assign(c Checkpoint) {
	if len(l.checkpoints) == 0 || c.Position < l.upTo {
		l.upTo = c.Position
	}
	l.checkpoints[c.Partition] = &c
	delete(l.fenced, c.Partition)
}

// revoke releases a partition, and discards what is in memory of it. Everything
// that was folded of it is committed, or was fenced since a refold or an erasure
// moved its epoch on. That can also happen after the last commit; then the
// partition is released in its new epoch. A partition that has another owner by
// now ends the session.
func (l *lane) revoke(ctx context.Context, partition int) error {
	c, fenced := l.fenced[partition]
	if !fenced {
		c = *l.checkpoints[partition]
	}
	delete(l.fenced, partition)
	delete(l.checkpoints, partition)
	l.cache.forget(partition)
	for {
		err := l.store.Release(ctx, l.generation, c)
		if err == nil {
			l.released(partition)
			return nil
		}
		if !errors.Is(err, ErrFenced) {
			return err
		}
		now, ownedErr := l.store.Owned(ctx, l.generation, []int{partition})
		if ownedErr != nil || len(now) == 0 || now[0].Epoch <= c.Epoch {
			return errors.Join(err, ownedErr)
		}
		c = now[0]
	}
}
