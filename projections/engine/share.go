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

// move is a change of the partitions that this replica owns.
type move struct {
	gained []Checkpoint
	lost   []int // given up on purpose, once all that was read of them is committed
}

func (m move) none() bool { return len(m.gained) == 0 && len(m.lost) == 0 }

// standing is what was made of the partitions that this replica owns: what it
// owns and what stands in neither set is still to be gained. A partition comes
// to held with the move that gains it, goes from there to leaving with the one
// that gives it up, and leaves when its lane tells that it was released: what is
// owned of those is not yet given up, or it was, and taken again, which is seen
// once that is told. Epochs do not count: a refold moves them on, too.
type standing struct {
	held, leaving map[int]bool
}

// share keeps this replica among the live ones, until ctx ends, takes
// partitions that are free and gives up what is more than its fair part, as
// long as reading goes on. It waits for nobody: what the pump has not taken
// yet, since a lane is busy, does not keep this replica from telling that it
// lives.
func (s *session) share(ctx, reading context.Context) error {
	now := standing{held: map[int]bool{}, leaving: map[int]bool{}}
	for _, c := range s.own.Checkpoints {
		now.held[c.Partition] = true
	}
	s.shared(now.held)
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
		for _, p := range s.released.take() { // before the store is asked, which then knows
			delete(now.leaving, p)
		}
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
			if err := now.check(got); err != nil {
				return err
			}
			if !waits { // else what is found would be told to nobody
				next = now.compare(got)
			}
			s.shared(now.held)
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

func (s *session) shared(held map[int]bool) {
	partitions := make([]int, 0, len(held))
	for p := range held {
		partitions = append(partitions, p)
	}
	slices.Sort(partitions)
	s.p.opt.Observer.Shared(s.own.Generation, partitions)
}

// check says [ErrFenced] where somebody else has taken a partition that this
// replica did not give up: it is lost without a word, and with it the states in
// memory. That one was only touched its lane finds by itself: it can commit
// nothing of it.
func (n standing) check(got Share) error {
	owned := map[int]bool{}
	for _, c := range got.Owned {
		owned[c.Partition] = true
	}
	for p := range n.held {
		if !owned[p] {
			return fmt.Errorf("%w: partition %d", ErrFenced, p)
		}
	}
	return nil
}

// compare says what there is to do about what is owned now, and takes it for
// told. What is gained is given up with a later move at the earliest.
func (n standing) compare(got Share) (m move) {
	for _, c := range got.Owned {
		if !n.held[c.Partition] && !n.leaving[c.Partition] {
			n.held[c.Partition] = true
			m.gained = append(m.gained, c)
		}
	}
	for len(m.gained) == 0 && len(n.held) > got.Due {
		p := slices.Max(slices.Collect(maps.Keys(n.held)))
		delete(n.held, p)
		n.leaving[p] = true
		m.lost = append(m.lost, p)
	}
	return m
}

// releases are partitions that lanes have given up, for share to learn of: each
// that a move gives up is told once, unless the session ends.
type releases struct {
	mu  sync.Mutex
	all []int
}

func (r *releases) add(partition int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, partition)
}

func (r *releases) take() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// move takes partitions in and gives partitions up. Those that stay are not
// interrupted but for the moment in which reading begins anew for new ones: a
// lane that is not concerned does not notice. That is so also where a new one is
// not behind: what was read ahead of it may have been erased from the stream
// before it came.
func (s *session) move(ctx context.Context, m move) error {
	for _, n := range m.lost {
		p := s.parts[n]
		delete(s.parts, n)
		if err := s.send(ctx, p.lane, work{lost: &n}); err != nil {
			return err
		}
	}
	s.passBy()
	for _, c := range m.gained {
		l := s.smallest()
		s.parts[c.Partition] = &part{l, c.Position, c.Last, c.Epoch}
		if err := s.send(ctx, l, work{gained: &c}); err != nil {
			return err
		}
	}
	s.owned.Store(int64(len(s.parts)))
	moved := []any{"generation", s.own.Generation, "gained", len(m.gained), "given_up", len(m.lost), "partitions", len(s.parts)}
	if len(m.gained) == 0 && len(s.parts) > 0 {
		s.p.opt.Logger.Info("partitions have moved", moved...)
		return nil
	}
	info, err := s.p.source.Info(ctx)
	if err == nil {
		err = s.resume(ctx, info)
	} else {
		err = fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	if err == nil && len(s.parts) > 0 { // from where they are read
		moved = append(moved, "position", s.read.Load(), "end", info.Last)
	}
	s.p.opt.Logger.Info("partitions have moved", moved...)
	return err
}

// smallest is the lane with the fewest partitions.
func (s *session) smallest() *lane {
	n := map[*lane]int{}
	for _, p := range s.parts {
		n[p.lane]++
	}
	return slices.MinFunc(s.lanes, func(a, b *lane) int { return n[a] - n[b] })
}
