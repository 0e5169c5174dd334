package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// rebalance is a change of the partitions that this replica owns.
type rebalance struct {
	assigned []Checkpoint
	revoked  []int // given up on purpose, once all that was read of them is committed
}

func (m rebalance) none() bool { return len(m.assigned) == 0 && len(m.revoked) == 0 }

// currentAssignment is what was made of the partitions that this replica owns: what it
// owns and what stands in neither set is still to be gained. A partition comes
// to held with the move that gains it, goes from there to leaving with the one
// that gives it up, and leaves when its lane tells that it was released: what is
// owned of those is not yet given up, or it was, and taken again, which is seen
// once that is told. Epochs do not count: a refold moves them on, too.
type currentAssignment struct {
	assigned, revoking map[int]bool
}

// heartbeat keeps this replica among the live ones, until ctx ends, takes
// partitions that are free and gives up what is more than its fair part, as
// long as reading goes on. It waits for nobody: what the pump has not taken
// yet, since a lane is busy, does not keep this replica from telling that it
// lives.
func (s *session) heartbeat(ctx, reading context.Context) error {
	now := currentAssignment{assigned: map[int]bool{}, revoking: map[int]bool{}}
	for _, c := range s.own.Checkpoints {
		now.assigned[c.Partition] = true
	}
	s.reportAssignment(now.assigned)
	var next rebalance
	last := time.Now()
	ctx, end := context.WithCancel(ctx)
	due := s.nextHeartbeat(ctx, 0)
	defer func() {
		end()
		<-due // it uses the store
	}()
	for {
		var moves chan<- rebalance
		if !next.none() && reading.Err() == nil {
			moves = s.rebalances
		}
		select {
		case moves <- next:
			next = rebalance{}
			continue
		case <-due: // also when ctx ends
		}
		waits := !next.none() // one move after the other
		began := time.Now()
		for _, p := range s.released.take() { // before the store is asked, which then knows
			delete(now.revoking, p)
		}
		got, err := s.p.store.Heartbeat(ctx, s.own.Generation, reading.Err() == nil && !waits)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrFenced), errors.Is(err, ErrPaused):
			return err
		case errors.Is(err, context.DeadlineExceeded), err != nil && time.Since(last) > 10*s.p.opt.HeartbeatInterval:
			// The store says that no answer will come. One silent connection
			// is seldom alone, and a commit waits longer.
			return fmt.Errorf("tell the other replicas: %w", err)
		case err == nil:
			last = time.Now()
			if err := now.check(got); err != nil {
				return err
			}
			if !waits { // else what is found would be told to nobody
				next = now.reconcile(got)
			}
			s.reportAssignment(now.assigned)
		}
		due = s.nextHeartbeat(ctx, time.Since(began))
	}
}

// rebalanceDelay is how long others have to say all there is to say: partitions come
// one by one, and each move may make reading begin anew.
const rebalanceDelay = 20 * time.Millisecond

// nextHeartbeat is closed when it is time to share again: when others tell so, or
// [Options.HeartbeatInterval] has passed, or ctx ends. Where the last time took long, it is
// as long again, up to twice that: a busy store is asked less.
func (s *session) nextHeartbeat(ctx context.Context, took time.Duration) <-chan struct{} {
	due := make(chan struct{})
	go func() {
		defer close(due)
		wait, cancel := context.WithTimeout(ctx, min(max(s.p.opt.HeartbeatInterval, took), 2*s.p.opt.HeartbeatInterval))
		defer cancel()
		if s.p.store.AwaitRebalance(wait) == nil {
			wait, cancel = context.WithTimeout(ctx, rebalanceDelay)
			defer cancel()
		}
		<-wait.Done()
	}()
	return due
}

func (s *session) reportAssignment(held map[int]bool) {
	partitions := make([]int, 0, len(held))
	for p := range held {
		partitions = append(partitions, p)
	}
	slices.Sort(partitions)
	s.p.opt.Observer.Assigned(s.own.Generation, partitions)
}

// check says [ErrFenced] where somebody else has taken a partition that this
// replica did not give up: it is lost without a word, and with it the states in
// memory. That one was only touched its lane finds by itself: it can commit
// nothing of it.
func (n currentAssignment) check(got Assignment) error {
	owned := map[int]bool{}
	for _, c := range got.Owned {
		owned[c.Partition] = true
	}
	for p := range n.assigned {
		if !owned[p] {
			return fmt.Errorf("%w: partition %d", ErrFenced, p)
		}
	}
	return nil
}

// reconcile says what there is to do about what is owned now, and takes it for
// told. What is gained is given up with a later move at the earliest.
func (n currentAssignment) reconcile(got Assignment) (m rebalance) {
	for _, c := range got.Owned {
		if !n.assigned[c.Partition] && !n.revoking[c.Partition] {
			n.assigned[c.Partition] = true
			m.assigned = append(m.assigned, c)
		}
	}
	for len(m.assigned) == 0 && len(n.assigned) > got.Target {
		p := slices.Max(slices.Collect(maps.Keys(n.assigned)))
		delete(n.assigned, p)
		n.revoking[p] = true
		m.revoked = append(m.revoked, p)
	}
	return m
}

// releaseQueue are partitions that lanes have given up, for share to learn of: each
// that a move gives up is told once, unless the session ends.
type releaseQueue struct {
	mu  sync.Mutex
	all []int
}

func (r *releaseQueue) add(partition int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, partition)
}

func (r *releaseQueue) take() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// applyRebalance takes partitions in and gives partitions up. Those that stay are not
// interrupted but for the moment in which reading begins anew for new ones: a
// lane that is not concerned does not notice. That is so also where a new one is
// not behind: what was read ahead of it may have been erased from the stream
// before it came.
func (s *session) applyRebalance(ctx context.Context, m rebalance) error {
	for _, n := range m.revoked {
		p := s.partitions[n]
		delete(s.partitions, n)
		if err := s.send(ctx, p.lane, laneInput{revoked: &n}); err != nil {
			return err
		}
	}
	s.markDelivered()
	for _, c := range m.assigned {
		l := s.smallest()
		s.partitions[c.Partition] = &ownedPartition{l, c.Position, c.Last, c.Epoch}
		if err := s.send(ctx, l, laneInput{assigned: &c}); err != nil {
			return err
		}
	}
	s.owned.Store(int64(len(s.partitions)))
	moved := []any{"generation", s.own.Generation, "gained", len(m.assigned), "given_up", len(m.revoked), "partitions", len(s.partitions)}
	if len(m.assigned) == 0 && len(s.partitions) > 0 {
		s.p.opt.Logger.Info("partitions have moved", moved...)
		return nil
	}
	info, err := s.p.source.Info(ctx)
	if err == nil {
		err = s.reopenReader(ctx, info)
	} else {
		err = fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	if err == nil && len(s.partitions) > 0 { // from where they are read
		moved = append(moved, "position", s.readPosition.Load(), "end", info.Last)
	}
	s.p.opt.Logger.Info("partitions have moved", moved...)
	return err
}

// smallest is the lane with the fewest partitions.
func (s *session) smallest() *lane {
	n := map[*lane]int{}
	for _, p := range s.partitions {
		n[p.lane]++
	}
	return slices.MinFunc(s.lanes, func(a, b *lane) int { return n[a] - n[b] })
}
