package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"accountexport/projections"
)

// retryWithoutFenced handles a commit that was refused since partitions of it were
// fenced: a refold or an erasure has written accounts that are in memory here, and
// moved the partitions' epochs on. Nothing of the batch was written.
//
// Those partitions leave the lane with everything that it has of them, and a rewind
// is requested; the rest of the batch is committed once more. Where a partition has
// another owner or another position than expected, the refusal is returned, which
// ends the session.
func (l *lane) retryWithoutFenced(ctx context.Context, f *inFlightCommit, refused error) error {
	partitions := make([]int, 0, len(f.batch.Advances))
	for _, a := range f.batch.Advances {
		partitions = append(partitions, a.Partition)
	}
	now, err := l.store.Owned(ctx, l.generation, partitions)
	if err != nil {
		return fmt.Errorf("commit: %w", errors.Join(refused, err))
	}
	var fenced []Checkpoint
	for _, a := range f.batch.Advances {
		i := slices.IndexFunc(now, func(c Checkpoint) bool { return c.Partition == a.Partition })
		switch {
		case i < 0, now[i].Epoch < a.Epoch, now[i].Epoch == a.Epoch && now[i].Position != a.From:
			return fmt.Errorf("commit: %w", refused)
		case now[i].Epoch > a.Epoch:
			fenced = append(fenced, now[i])
		}
	}
	if len(fenced) == 0 {
		return fmt.Errorf("commit: %w", refused)
	}
	for _, c := range fenced {
		f.drop(c.Partition)
		l.cur.drop(c.Partition)
		l.cache.forget(c.Partition)
		delete(l.checkpoints, c.Partition)
		l.fenced[c.Partition] = c
	}
	if len(l.checkpoints) == 0 {
		l.cur.advanceAll = false
	}
	l.rewind(fenced)
	if len(f.batch.Advances) > 0 {
		l.commitInBackground(ctx, f)
	}
	return nil
}

// drop removes from the batch what it would write of a partition.
func (f *inFlightCommit) drop(partition int) {
	f.batchBuilder.drop(partition)
	b := f.batch
	b.Changes = slices.DeleteFunc(b.Changes, func(c projections.Change) bool { return c.Row.Partition == partition })
	b.Tiers = slices.DeleteFunc(b.Tiers, func(t projections.TierDefinition) bool { return t.Partition == partition })
	b.Parked = f.parked
	b.Advances = slices.DeleteFunc(b.Advances, func(a Advance) bool { return a.Partition == partition })
}

// rewindQueue holds fenced partitions that have to be read again, until dispatch takes
// them. A lane adds to it without waiting for dispatch, which may be waiting for
// the lane.
type rewindQueue struct {
	due chan struct{} // holds a value while the queue is not empty

	allMu sync.Mutex // held by the lanes and by dispatch, for no longer than it takes to append or to take
	all   []rewind
}

// rewind says that a partition of the lane is to be read again from the checkpoint on.
type rewind struct {
	lane *lane
	Checkpoint
}

func newRewindQueue() *rewindQueue { return &rewindQueue{due: make(chan struct{}, 1)} }

// add appends partitions of a lane and signals due.
func (r *rewindQueue) add(l *lane, checkpoints []Checkpoint) {
	r.allMu.Lock()
	defer r.allMu.Unlock()
	for _, c := range checkpoints {
		r.all = append(r.all, rewind{l, c})
	}
	select {
	case r.due <- struct{}{}:
	default:
	}
}

// take empties the queue.
func (r *rewindQueue) take() []rewind {
	r.allMu.Lock()
	defer r.allMu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// rewindFenced assigns fenced partitions again to the lanes that they were in, at
// their checkpoints, and reopens the reader. It skips those that were revoked
// meanwhile, or assigned again since in the same or a later epoch. The reader is
// reopened even where it is not past a partition's checkpoint: it may have read
// ahead over messages that an erasure has removed from the stream since.
func (s *session) rewindFenced(ctx context.Context) error {
	var rewound []int
	for _, r := range s.rewinds.take() {
		p := s.partitions[r.Partition]
		if p == nil || p.lane != r.lane || p.epoch >= r.Epoch {
			continue
		}
		if rewound == nil {
			s.markDelivered()
		}
		rewound = append(rewound, r.Partition)
		s.partitions[r.Partition] = &ownedPartition{r.lane, r.Position, r.Last, r.Epoch}
		if err := s.send(ctx, r.lane, laneInput{assigned: &r.Checkpoint}); err != nil {
			return err
		}
	}
	if rewound == nil {
		return nil
	}
	s.p.opt.Logger.Info("partitions begin again at their checkpoints: their accounts were refolded or erased", "generation", s.own.Generation,
		"partitions", rewound)
	info, err := s.p.source.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	return s.reopenReader(ctx, info)
}

// markDelivered records how far each owned partition was read, before the reader is
// reopened further back: what is then read again is not sent to these partitions a
// second time.
func (s *session) markDelivered() {
	if s.prefetcher == nil {
		return
	}
	for _, p := range s.partitions {
		p.delivered = max(p.delivered, s.readPosition.Load())
	}
}
