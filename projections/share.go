package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// move is a change of the partitions that this replica owns.
type move struct {
	gained []Checkpoint
	lost   []handover
}

// handover is a partition that is given up on purpose, once all that was read of
// it is committed, and the epoch that it is known to be in.
type handover struct {
	partition int
	epoch     int64
}

func (m move) none() bool { return len(m.gained) == 0 && len(m.lost) == 0 }

// share keeps this replica among the live ones, until ctx ends, takes
// partitions that are free and gives up what is more than its fair part, as
// long as reading goes on. It waits for nobody: what the pump has not taken
// yet, since a lane is busy, does not keep this replica from telling that it
// lives.
func (s *session) share(ctx, reading context.Context) error {
	held := map[int]int64{} // epoch by partition
	for _, c := range s.own.Checkpoints {
		held[c.Partition] = c.Epoch
	}
	leaving := map[int]int64{} // not given up yet
	s.shared(held)
	var next move
	last := time.Now()
	ctx, end := context.WithCancel(ctx)
	due := s.due(ctx, 0)
	defer func() {
		end()
		<-due // it uses the store
	}()
	for {
		var moves chan<- move
		if !next.none() && reading.Err() == nil {
			moves = s.moves
		}
		select {
		case moves <- next:
			next = move{}
			continue
		case <-due: // also when ctx ends
		}
		waits := !next.none() // one move after the other
		began := time.Now()
		got, err := s.p.store.Share(ctx, s.own.Generation, reading.Err() == nil && !waits)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrFenced), errors.Is(err, ErrPaused):
			return err
		case errors.Is(err, context.DeadlineExceeded), err != nil && time.Since(last) > 10*s.p.opt.Share:
			// The store says that no answer will come. One silent connection
			// is seldom alone, and a commit waits longer.
			return fmt.Errorf("tell the other replicas: %w", err)
		case err == nil:
			last = time.Now()
			if waits {
				got.Due = len(held)
			}
			m, err := compare(held, leaving, got)
			if err != nil {
				return err
			}
			s.shared(held)
			if !waits {
				next = m
			}
		}
		due = s.due(ctx, time.Since(began))
	}
}

// gather is how long others have to say all there is to say: partitions come
// one by one, and each move may make reading begin anew.
const gather = 20 * time.Millisecond

// due is closed when it is time to share again: when others tell so, or
// [Options.Share] has passed, or ctx ends. Where the last time took long, it is
// as long again, up to twice that: a busy store is asked less.
func (s *session) due(ctx context.Context, took time.Duration) <-chan struct{} {
	due := make(chan struct{})
	go func() {
		defer close(due)
		wait, cancel := context.WithTimeout(ctx, min(max(s.p.opt.Share, took), 2*s.p.opt.Share))
		defer cancel()
		if s.p.store.Moved(wait) == nil {
			wait, cancel = context.WithTimeout(ctx, gather)
			defer cancel()
		}
		<-wait.Done()
	}()
	return due
}

func (s *session) shared(held map[int]int64) {
	partitions := make([]int, 0, len(held))
	for p := range held {
		partitions = append(partitions, p)
	}
	slices.Sort(partitions)
	s.p.opt.Observer.Shared(s.own.Generation, partitions)
}

// compare brings held and leaving up to what is owned now, and says what there
// is to do. A partition that somebody else has taken is lost without a word, and
// with it the states in memory: [ErrFenced]. That one was only touched its lane
// finds by itself: it can commit nothing of it.
func compare(held, leaving map[int]int64, now Share) (m move, err error) {
	owned := map[int]bool{}
	for _, c := range now.Owned {
		owned[c.Partition] = true
		epoch, there := held[c.Partition]
		was, going := leaving[c.Partition]
		switch {
		case there:
			held[c.Partition] = max(epoch, c.Epoch)
			continue
		case going && was == c.Epoch:
			continue
		}
		delete(leaving, c.Partition) // given up, and taken again
		held[c.Partition] = c.Epoch
		m.gained = append(m.gained, c)
	}
	for p := range held {
		if !owned[p] {
			return m, fmt.Errorf("%w: partition %d", ErrFenced, p)
		}
	}
	for p := range leaving {
		if !owned[p] {
			delete(leaving, p)
		}
	}
	for len(held) > now.Due {
		p := 0
		for q := range held {
			p = max(p, q)
		}
		leaving[p] = held[p]
		delete(held, p)
		m.lost = append(m.lost, handover{p, leaving[p]})
	}
	return m, nil
}

// move takes partitions in and gives partitions up. Those that stay are not
// interrupted but for the moment in which reading begins anew, where a new one
// is behind: a lane that is not concerned does not notice.
func (s *session) move(ctx context.Context, m move) error {
	for _, h := range m.lost {
		p := s.parts[h.partition]
		delete(s.parts, h.partition)
		if err := s.send(ctx, p.lane, work{lost: &h}); err != nil {
			return err
		}
	}
	read := s.read.Load()
	back := s.feed == nil
	s.passBy()
	for _, c := range m.gained {
		l := s.smallest()
		s.parts[c.Partition] = &part{l, c.Position, c.Last, c.Epoch}
		back = back || c.Position < read
		if err := s.send(ctx, l, work{gained: &c}); err != nil {
			return err
		}
	}
	s.owned.Store(int64(len(s.parts)))
	s.p.opt.Logger.Info("partitions have moved", "generation", s.own.Generation, "gained", len(m.gained), "given_up", len(m.lost),
		"partitions", len(s.parts))
	if !back && len(s.parts) > 0 {
		return s.checkLast(ctx)
	}
	info, err := s.p.source.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	return s.resume(ctx, info)
}

// smallest is the lane with the fewest partitions.
func (s *session) smallest() *lane {
	n := map[*lane]int{}
	for _, p := range s.parts {
		n[p.lane]++
	}
	return slices.MinFunc(s.lanes, func(a, b *lane) int { return n[a] - n[b] })
}
