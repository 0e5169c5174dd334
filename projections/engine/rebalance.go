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
	revoked  []int // to be released, once everything that was read of them is committed
}

// none reports whether there is nothing to do.
func (m rebalance) none() bool { return len(m.assigned) == 0 && len(m.revoked) == 0 }

// currentAssignment is what the heartbeat knows of the partitions that this replica
// owns; it belongs to the heartbeat's goroutine. A partition is assigned from the
// rebalance that assigns it to the one that revokes it, and revoking from then on
// until its lane reports that it was released. A partition that the store says is
// owned and that is in neither set is new. One in revoking is not: either it is
// not released yet, or it was, and was claimed again, which shows once the lane's
// report is in. Epochs are not compared, since a refold moves them on, too.
type currentAssignment struct {
	assigned, revoking map[int]bool
}

// heartbeat keeps this replica among the live ones until ctx ends. As long as
// reading has not ended it also claims partitions that have no owner, and revokes
// those that exceed the replica's fair share. It waits for no other goroutine: a
// rebalance that dispatch has not received yet, since a lane is busy, does not
// keep the next heartbeat from being sent.
//
// It returns an error where ownership is lost or can no longer be confirmed; then
// the session ends, and ownership is acquired again.
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
		<-due // its goroutine uses the store
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
		pending := !next.none() // dispatch has not received the last rebalance; one comes after the other
		began := time.Now()
		for _, p := range s.released.take() { // before the heartbeat, so that its answer is no older than these
			delete(now.revoking, p)
		}
		got, err := s.p.store.Heartbeat(ctx, s.own.Generation, reading.Err() == nil && !pending)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrFenced), errors.Is(err, ErrPaused):
			return err
		case errors.Is(err, context.DeadlineExceeded), err != nil && time.Since(last) > 10*s.p.opt.HeartbeatInterval:
			// Either the store has given up on an answer, or heartbeats have failed
			// for too long. Other connections to the database are likely to be
			// silent as well, and a commit would wait for longer than this.
			return fmt.Errorf("tell the other replicas: %w", err)
		case err == nil:
			last = time.Now()
			if err := now.check(got); err != nil {
				return err
			}
			if !pending { // otherwise the rebalance would be lost
				next = now.reconcile(got)
			}
			s.reportAssignment(now.assigned)
		}
		due = s.nextHeartbeat(ctx, time.Since(began))
	}
}

// rebalanceDelay is how long the heartbeat waits after a notification, so that one
// rebalance covers several changes: partitions change hands one by one, and each
// rebalance may reopen the reader.
const rebalanceDelay = 20 * time.Millisecond

// nextHeartbeat returns a channel that is closed when the next heartbeat is due: when
// the store announces a change, when [Options.HeartbeatInterval] has passed, or
// when ctx ends. Where the last heartbeat took longer than the interval, the next
// one comes after as long again, up to twice the interval, so that a busy store is
// asked less often.
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

// reportAssignment tells the observer which partitions this replica owns.
func (s *session) reportAssignment(assigned map[int]bool) {
	partitions := make([]int, 0, len(assigned))
	for p := range assigned {
		partitions = append(partitions, p)
	}
	slices.Sort(partitions)
	s.p.opt.Observer.Assigned(s.own.Generation, partitions)
}

// check returns [ErrFenced] where a partition is no longer owned that this replica has
// not revoked: another replica has claimed it, and the states in memory are out of
// date. That a partition's epoch has moved on is not found here but by its lane,
// whose next commit of it is refused.
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

// reconcile returns what has to change to get from the current assignment to the one
// the store has answered, and records it as done. A partition that is assigned is
// revoked by a later rebalance at the earliest.
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

// releaseQueue holds the partitions that lanes have released, until the heartbeat takes
// them. Each revoked partition is added once, unless the session ends before.
type releaseQueue struct {
	allMu sync.Mutex // held by the lanes' and the heartbeat's goroutine, for no longer than it takes to append or to take
	all   []int
}

func (r *releaseQueue) add(partition int) {
	r.allMu.Lock()
	defer r.allMu.Unlock()
	r.all = append(r.all, partition)
}

// take empties the queue.
func (r *releaseQueue) take() []int {
	r.allMu.Lock()
	defer r.allMu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// applyRebalance sends assigned and revoked partitions to their lanes. Lanes that are
// not concerned go on undisturbed, but for the time in which the reader is reopened
// for newly assigned partitions. It is reopened even where those are not behind:
// the reader may have read ahead over their messages, and an erasure may have
// removed those from the stream since.
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
		l := s.smallestLane()
		s.partitions[c.Partition] = &ownedPartition{l, c.Position, c.Last, c.Epoch}
		if err := s.send(ctx, l, laneInput{assigned: &c}); err != nil {
			return err
		}
	}
	s.owned.Store(int64(len(s.partitions)))
	fields := []any{"generation", s.own.Generation, "gained", len(m.assigned), "given_up", len(m.revoked), "partitions", len(s.partitions)}
	if len(m.assigned) == 0 && len(s.partitions) > 0 {
		s.p.opt.Logger.Info("partitions have moved", fields...)
		return nil
	}
	info, err := s.p.source.Info(ctx)
	if err == nil {
		err = s.reopenReader(ctx, info)
	} else {
		err = fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	if err == nil && len(s.partitions) > 0 { // where reading resumes
		fields = append(fields, "position", s.readPosition.Load(), "end", info.Last)
	}
	s.p.opt.Logger.Info("partitions have moved", fields...)
	return err
}

// smallestLane is the lane with the fewest partitions.
func (s *session) smallestLane() *lane {
	n := map[*lane]int{}
	for _, p := range s.partitions {
		n[p.lane]++
	}
	return slices.MinFunc(s.lanes, func(a, b *lane) int { return n[a] - n[b] })
}
