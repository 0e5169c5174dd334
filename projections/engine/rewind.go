package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"accountexport/projections"
)

// retryWithoutFenced goes on where a commit was refused since partitions of it were fenced:
// somebody has written what is in memory of their accounts, as a refold and an
// erasure do, and moved their epochs on. Nothing of the batch was written.
// Those partitions leave the lane with all that it has of them, to be read again
// from their checkpoints; the rest is committed once more. A partition that is no
// longer this replica's is as before the end of the session.
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
		l.launch(ctx, f)
	}
	return nil
}

// drop takes out all that would be written of a partition.
func (f *inFlightCommit) drop(partition int) {
	f.batchBuilder.drop(partition)
	b := f.batch
	b.Changes = slices.DeleteFunc(b.Changes, func(c projections.Change) bool { return c.Row.Partition == partition })
	b.Tiers = slices.DeleteFunc(b.Tiers, func(t projections.TierDefinition) bool { return t.Partition == partition })
	b.Parked = f.parked
	b.Advances = slices.DeleteFunc(b.Advances, func(a Advance) bool { return a.Partition == partition })
}

// rewindQueue are partitions that were fenced and are to be read again. A lane adds
// to them without waiting for the pump, which may be waiting for the lane.
type rewindQueue struct {
	due chan struct{} // holds a value where there are any

	mu  sync.Mutex
	all []rewind
}

type rewind struct {
	lane *lane
	Checkpoint
}

func newRewindQueue() *rewindQueue { return &rewindQueue{due: make(chan struct{}, 1)} }

func (r *rewindQueue) add(l *lane, checkpoints []Checkpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range checkpoints {
		r.all = append(r.all, rewind{l, c})
	}
	select {
	case r.due <- struct{}{}:
	default:
	}
}

func (r *rewindQueue) take() []rewind {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// rewindFenced has fenced partitions read again from their checkpoints, for the lanes
// that they were in; what was given up meanwhile, or taken anew since, is none.
// Reading begins anew also where it is not further on: it may be ahead by what
// is no longer in the stream.
func (s *session) rewindFenced(ctx context.Context) error {
	var begun []int
	for _, r := range s.rewinds.take() {
		p := s.partitions[r.Partition]
		if p == nil || p.lane != r.lane || p.epoch >= r.Epoch {
			continue
		}
		if begun == nil {
			s.markDelivered()
		}
		begun = append(begun, r.Partition)
		s.partitions[r.Partition] = &ownedPartition{r.lane, r.Position, r.Last, r.Epoch}
		if err := s.send(ctx, r.lane, laneInput{assigned: &r.Checkpoint}); err != nil {
			return err
		}
	}
	if begun == nil {
		return nil
	}
	s.p.opt.Logger.Info("partitions begin again at their checkpoints: their accounts were refolded or erased", "generation", s.own.Generation,
		"partitions", begun)
	info, err := s.p.source.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	return s.reopenReader(ctx, info)
}

// markDelivered notes how far the partitions have come that are there: what is read
// again for others is not theirs.
func (s *session) markDelivered() {
	if s.prefetcher == nil {
		return
	}
	for _, p := range s.partitions {
		p.delivered = max(p.delivered, s.readPosition.Load())
	}
}
