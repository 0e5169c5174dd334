package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"accountexport/projections"
)

// without goes on where a commit was refused since partitions of it were fenced:
// somebody has written what is in memory of their accounts, as a refold and an
// erasure do, and moved their epochs on. Nothing of the batch was written.
// Those partitions leave the lane with all that it has of them, to be read again
// from their checkpoints; the rest is committed once more. A partition that is no
// longer this replica's is as before the end of the session.
func (l *lane) without(ctx context.Context, f *flight, refused error) error {
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
		delete(l.at, c.Partition)
		l.away[c.Partition] = c
	}
	if len(l.at) == 0 {
		l.cur.all = false
	}
	l.renew(fenced)
	if len(f.batch.Advances) > 0 {
		l.launch(ctx, f)
	}
	return nil
}

// drop takes out all that would be written of a partition.
func (f *flight) drop(partition int) {
	f.pending.drop(partition)
	b := f.batch
	b.Changes = slices.DeleteFunc(b.Changes, func(c projections.Change) bool { return c.Row.Partition == partition })
	b.Tiers = slices.DeleteFunc(b.Tiers, func(t projections.TierDefinition) bool { return t.Partition == partition })
	b.Parked = f.parked
	b.Advances = slices.DeleteFunc(b.Advances, func(a Advance) bool { return a.Partition == partition })
}

// renewals are partitions that were fenced and are to be read again. A lane adds
// to them without waiting for the pump, which may be waiting for the lane.
type renewals struct {
	due chan struct{} // holds a value where there are any

	mu  sync.Mutex
	all []renewal
}

type renewal struct {
	lane *lane
	Checkpoint
}

func newRenewals() *renewals { return &renewals{due: make(chan struct{}, 1)} }

func (r *renewals) add(l *lane, checkpoints []Checkpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range checkpoints {
		r.all = append(r.all, renewal{l, c})
	}
	select {
	case r.due <- struct{}{}:
	default:
	}
}

func (r *renewals) take() []renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// renew has fenced partitions read again from their checkpoints, for the lanes
// that they were in; what was given up meanwhile, or taken anew since, is none.
// Reading begins anew also where it is not further on: it may be ahead by what
// is no longer in the stream.
func (s *session) renew(ctx context.Context) error {
	var begun []int
	for _, r := range s.renewals.take() {
		p := s.parts[r.Partition]
		if p == nil || p.lane != r.lane || p.epoch >= r.Epoch {
			continue
		}
		if begun == nil {
			s.passBy()
		}
		begun = append(begun, r.Partition)
		s.parts[r.Partition] = &part{r.lane, r.Position, r.Last, r.Epoch}
		if err := s.send(ctx, r.lane, work{gained: &r.Checkpoint}); err != nil {
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
	return s.resume(ctx, info)
}

// passBy notes how far the partitions have come that are there: what is read
// again for others is not theirs.
func (s *session) passBy() {
	if s.feed == nil {
		return
	}
	for _, p := range s.parts {
		p.from = max(p.from, s.read.Load())
	}
}
