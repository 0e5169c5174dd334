package projections

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"accountexport/events"
)

// memoryStore keeps the read model's tables in memory. Like the database it
// keeps nothing of a batch's memory, writes a batch whole or not at all, and
// refuses what would break a key.
type memoryStore struct {
	t      testing.TB
	faults *faults // nil: none
	slow   *random // nil: a commit takes no time

	mu          sync.Mutex
	checkpoints []Checkpoint
	pause       *Pause
	stream      StreamIdentity
	rows        map[events.UUID]AccountRow
	pages       map[sectionKey][]byte
	items       map[sectionKey]string
	waiting     map[waitingKey][]byte
	tiers       map[string]TierDefinition
	parked      map[uint64]ParkedMessage
	sums        map[events.UUID]sum
	looked      int           // needs answered
	written     chan struct{} // closed after a commit
}

// sum is a row's count and digest.
type sum struct {
	messages uint64
	digest   Digest
}

type sectionKey struct {
	account events.UUID
	section SectionKind
	key     string
}

type waitingKey struct {
	account events.UUID
	waitKey
}

func newMemoryStore(t testing.TB) *memoryStore {
	return &memoryStore{t: t, rows: map[events.UUID]AccountRow{}, pages: map[sectionKey][]byte{},
		items: map[sectionKey]string{}, waiting: map[waitingKey][]byte{}, tiers: map[string]TierDefinition{},
		parked: map[uint64]ParkedMessage{}, sums: map[events.UUID]sum{}, written: make(chan struct{})}
}

func (s *memoryStore) Acquire(_ context.Context, info StreamInfo) (Ownership, error) {
	if err := s.faults.at("acquire"); err != nil {
		return Ownership{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuse(); err != nil {
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

// Share and Release are for replicas, see [memoryReplica].
func (s *memoryStore) Share(context.Context, int64, bool) (Share, error) {
	return Share{}, errors.New("not shared")
}

func (s *memoryStore) Moved(context.Context) error { return errors.New("not shared") }

func (s *memoryStore) Owned(context.Context, int64, []int) ([]Checkpoint, error) {
	return nil, errors.New("not shared")
}

func (s *memoryStore) Paused(context.Context) (*Pause, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pause, nil
}

// refuse is what is done while projecting is paused; the lock is held.
func (s *memoryStore) refuse() error {
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

func (s *memoryStore) Load(_ context.Context, _ int64, accounts []events.UUID) ([]AccountRow, error) {
	if err := s.faults.at("load"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []AccountRow
	for _, id := range accounts {
		if r, ok := s.rows[id]; ok {
			out = append(out, cloneRow(r))
		}
	}
	return out, nil
}

func (s *memoryStore) Lookup(_ context.Context, _ int64, needs []Need) ([]Answer, error) {
	if err := s.faults.at("lookup"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked += len(needs)
	var out []Answer
	for _, n := range needs {
		a := Answer{Need: n}
		switch {
		case n.Entity != 0:
			a.Body, a.Found = s.waiting[waitingKey{n.Account, waitKey{n.Entity, n.Key}}]
		case n.Section == UsageSection:
			for k := range s.pages {
				if k.account == n.Account && k.section == n.Section && k.key <= n.Key && (!a.Found || k.key > a.Page) {
					a.Found, a.Page = true, k.key
				}
			}
		default:
			a.Page, a.Found = s.items[sectionKey{n.Account, n.Section, n.Key}]
		}
		if n.Section != 0 && a.Found {
			a.Body = s.pages[sectionKey{n.Account, n.Section, a.Page}]
		}
		a.Body = bytes.Clone(a.Body)
		out = append(out, a)
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
			} // else it comes too late
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuse(); err != nil {
		return err
	}
	for _, a := range b.Advances {
		if c := s.checkpoints[a.Partition]; c.Position != a.From || c.Epoch != a.Epoch {
			return ErrFenced
		}
		if a.To < a.From {
			s.t.Errorf("partition %d goes back from %d to %d", a.Partition, a.From, a.To)
		}
	}
	if !slices.IsSortedFunc(b.Changes, func(x, y Change) int { return bytes.Compare(x.Row.ID[:], y.Row.ID[:]) }) {
		s.t.Error("changes are not sorted by account")
	}
	if !slices.IsSortedFunc(b.Tiers, func(x, y TierDefinition) int { return cmp.Compare(x.ID, y.ID) }) {
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
		t.Body = bytes.Clone(t.Body)
		s.tiers[t.ID] = t
	}
	for _, m := range b.Parked {
		s.park(m)
	}
	close(s.written)
	s.written = make(chan struct{})
	return s.faults.at("committed")
}

// wait waits until every checkpoint is at the position, or beyond.
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

func (s *memoryStore) park(m ParkedMessage) {
	if _, ok := s.parked[m.Position]; ok {
		s.t.Errorf("message %d is parked twice", m.Position)
	}
	m.Payload = bytes.Clone(m.Payload)
	s.parked[m.Position] = m
}

// apply writes a change as readmodel's statements do.
func (s *memoryStore) apply(c *Change) {
	id := c.Row.ID
	old, there := s.rows[id]
	if c.New == there {
		s.t.Errorf("account %s: row there %t, change says new %t", id, there, c.New)
	}
	if c.Wiped {
		old = AccountRow{}
		delete(s.sums, id)
		maps.DeleteFunc(s.pages, func(k sectionKey, _ []byte) bool { return k.account == id })
		maps.DeleteFunc(s.items, func(k sectionKey, _ string) bool { return k.account == id })
		maps.DeleteFunc(s.waiting, func(k waitingKey, _ []byte) bool { return k.account == id })
		maps.DeleteFunc(s.parked, func(_ uint64, m ParkedMessage) bool { return m.Account != nil && *m.Account == id })
	}
	r := cloneRow(c.Row)
	for _, f := range [][2]*[]byte{{&r.User, &old.User}, {&r.Team, &old.Team}, {&r.Usage, &old.Usage}, {&r.Keys, &old.Keys},
		{&r.Sandboxes, &old.Sandboxes}} {
		if *f[0] == nil {
			*f[0] = *f[1]
		}
	}
	s.rows[id] = r
	s.sums[id] = sum{s.sums[id].messages + c.Messages, s.sums[id].digest.Plus(c.Digest)}
	for _, p := range c.Pages {
		s.pages[sectionKey{id, p.Section, p.Key}] = bytes.Clone(p.Body)
	}
	for _, it := range c.Sealed {
		k := sectionKey{id, it.Section, it.Item}
		if p, ok := s.items[k]; ok {
			s.t.Errorf("account %s: item %q is in page %s and in page %s", id, it.Item, p, it.Page)
		}
		s.items[k] = it.Page
	}
	for _, w := range c.Waiting {
		k := waitingKey{id, waitKey{w.Entity, w.ID}}
		if w.Body == nil {
			delete(s.waiting, k)
		} else {
			s.waiting[k] = bytes.Clone(w.Body)
		}
	}
}

func cloneRow(r AccountRow) AccountRow {
	for _, f := range []*[]byte{&r.User, &r.Team, &r.Usage, &r.Keys, &r.Sandboxes} {
		*f = bytes.Clone(*f)
	}
	return r
}
