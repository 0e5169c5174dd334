package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// memoryStore keeps the read model's tables in memory. Like the database it keeps none of a
// batch's memory, writes a batch as a whole or not at all, and refuses what would break a
// key. TestMemoryStoreConforms checks that it is a store as others are.
type memoryStore struct {
	t      testing.TB
	faults *faults // nil: none
	slow   *random // nil: a commit takes no time

	mu          sync.Mutex
	checkpoints []Checkpoint
	pause       *Pause
	stream      StreamIdentity
	*projections.Tables
	lookups int           // lookups answered
	written chan struct{} // closed after a commit
}

func newMemoryStore(t testing.TB) *memoryStore {
	return &memoryStore{t: t, Tables: projections.NewTables(), written: make(chan struct{})}
}

func (s *memoryStore) Acquire(_ context.Context, info StreamInfo) (Ownership, error) {
	if err := s.faults.at("acquire"); err != nil {
		return Ownership{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkPaused(); err != nil {
		return Ownership{}, err
	}
	if s.checkpoints == nil {
		s.stream = StreamIdentity{Name: info.Name, Created: info.Created}
		for p := range info.Partitions {
			s.checkpoints = append(s.checkpoints, Checkpoint{Partition: p})
		}
	}
	for i := range s.checkpoints {
		s.checkpoints[i].Epoch++
	}
	return Ownership{Generation: 1, Stream: s.stream, Checkpoints: slices.Clone(s.checkpoints)}, nil
}

// The methods that replicas share ownership by are those of [replica].
func (s *memoryStore) Heartbeat(context.Context, int64, bool) (Assignment, error) {
	return Assignment{}, errors.New("not shared")
}

func (s *memoryStore) AwaitRebalance(context.Context) error { return errors.New("not shared") }

func (s *memoryStore) Owned(context.Context, int64, []int) ([]Checkpoint, error) {
	return nil, errors.New("not shared")
}

func (s *memoryStore) Paused(context.Context) (*Pause, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pause, nil
}

// checkPaused returns [ErrPaused] while projecting is paused. The lock must be held.
func (s *memoryStore) checkPaused() error {
	if s.pause == nil {
		return nil
	}
	return s.pause.Err()
}

func (s *memoryStore) positions() (all []uint64) {
	for _, c := range s.checkpoints {
		all = append(all, c.Position)
	}
	return all
}

func (s *memoryStore) Release(context.Context, int64, Checkpoint) error {
	return errors.New("not shared")
}

func (s *memoryStore) Load(_ context.Context, _ int64, accounts []events.UUID) ([]projections.AccountRow, error) {
	if err := s.faults.at("load"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []projections.AccountRow
	for _, id := range accounts {
		if r, ok := s.Row(id); ok {
			out = append(out, r)
		}
	}
	return out, nil
}

func (s *memoryStore) Lookup(_ context.Context, _ int64, lookups []projections.Lookup) ([]projections.LookupResult, error) {
	if err := s.faults.at("lookup"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups += len(lookups)
	var out []projections.LookupResult
	for _, l := range lookups {
		out = append(out, s.Tables.Lookup(l))
	}
	return out, nil
}

func (s *memoryStore) Commit(ctx context.Context, b *Batch) error {
	if err := s.faults.at("commit"); err != nil {
		return err
	}
	if s.slow != nil {
		select {
		case <-time.After(time.Duration(s.slow.IntN(30)) * time.Millisecond):
		case <-ctx.Done():
			if s.slow.IntN(2) == 0 {
				return ctx.Err()
			} // otherwise the commit succeeds after its context has ended
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkPaused(); err != nil {
		return err
	}
	for _, a := range b.Advances {
		if a.Partition >= len(s.checkpoints) {
			return ErrFenced
		}
		if c := s.checkpoints[a.Partition]; c.Position != a.From || c.Epoch != a.Epoch {
			return ErrFenced
		}
		if a.To < a.From {
			s.t.Errorf("partition %d goes back from %d to %d", a.Partition, a.From, a.To)
		}
	}
	if !slices.IsSortedFunc(b.Changes, func(x, y projections.Change) int { return bytes.Compare(x.Row.ID[:], y.Row.ID[:]) }) {
		s.t.Error("changes are not sorted by account")
	}
	if !slices.IsSortedFunc(b.Tiers, func(x, y projections.TierDefinition) int { return cmp.Compare(x.ID, y.ID) }) {
		s.t.Error("tiers are not sorted")
	}
	for _, a := range b.Advances {
		c := &s.checkpoints[a.Partition]
		c.Position, c.AsOf = a.To, a.AsOf
		if a.Last.Position > 0 {
			c.Last = a.Last
		}
		for o, n := range a.Tally {
			c.Tally[o] += n
		}
	}
	for i := range b.Changes {
		s.apply(&b.Changes[i])
	}
	for _, t := range b.Tiers {
		s.Define(t)
	}
	for _, m := range b.Parked {
		s.park(m)
	}
	close(s.written)
	s.written = make(chan struct{})
	return s.faults.at("committed")
}

// wait waits until every checkpoint is at the position or beyond.
func (s *memoryStore) wait(position uint64) {
	for {
		s.mu.Lock()
		lowest, written := s.lowest(), s.written
		s.mu.Unlock()
		if lowest >= position {
			return
		}
		<-written
	}
}

func (s *memoryStore) lowest() uint64 {
	if s.checkpoints == nil {
		return 0
	}
	lowest := s.checkpoints[0].Position
	for _, c := range s.checkpoints {
		lowest = min(lowest, c.Position)
	}
	return lowest
}

// park and apply fail the test where a database would refuse what is written.
func (s *memoryStore) park(m projections.ParkedMessage) {
	if err := s.Park(m); err != nil {
		s.t.Error(err)
	}
}

func (s *memoryStore) apply(c *projections.Change) {
	if err := s.Apply(c); err != nil {
		s.t.Error(err)
	}
}
