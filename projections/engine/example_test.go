package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// A stream in memory is projected into a store in memory, and continued when it has
// grown. sliceSource and tableStore, below, are all that an implementation needs.
func ExampleProjector_RunToEnd() {
	account := events.UUID{0: 0x3c, 15: 1}
	source, store := &sliceSource{}, &tableStore{tables: projections.NewTables()}
	publish := func(m events.Message, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		source.publish(m)
	}
	meta := func(id string) events.Meta {
		return events.Meta{ID: id, Source: "/control-plane/api", Time: 1_774_429_847_000_000}
	}
	projector := engine.New(source, store, engine.Options{Logger: slog.New(slog.DiscardHandler)})
	defer projector.Close()

	publish(events.NewQuotaTierDefined(meta("1"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"}))
	publish(events.NewUserRegistered(meta("2"), account, events.UserRegistered{Email: "ada@example.org", Tier: "free", QuotaTierID: "free"}))
	if err := projector.RunToEnd(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	_, missing := store.tables.Document(account)
	fmt.Println("at", store.checkpoints[0].Position, "missing", missing)

	publish(events.NewTeamCreated(meta("3"), account, events.TeamCreated{ID: events.UUID{0: 0x7a}, Name: "Ada", Slug: "ada", QuotaTierID: "free"}))
	if err := projector.RunToEnd(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	doc, _ := store.tables.Document(account)
	fmt.Println("at", store.checkpoints[0].Position, string(doc[:80])+"…")
	// Output:
	// at 2 missing [team quota_tier]
	// at 3 {"user":{"id":"3c000000-0000-0000-0000-000000000001","email":"ada@example.org","…
}

var sliceCreated = time.Date(2026, 3, 25, 9, 0, 0, 0, time.UTC)

// sliceSource is a stream of one partition in memory.
type sliceSource struct {
	mu       sync.Mutex
	messages []projections.Message // message i is at position i+1
	grown    chan struct{}         // closed when messages are added; nil: nobody waits
}

func (s *sliceSource) publish(m events.Message) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	position := uint64(len(s.messages) + 1)
	s.messages = append(s.messages, projections.Message{Position: position, Time: sliceCreated, Message: m})
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
	return position
}

// after returns the messages after a position, and what is closed when there are
// more.
func (s *sliceSource) after(position uint64) ([]projections.Message, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grown == nil {
		s.grown = make(chan struct{})
	}
	return s.messages[min(position, uint64(len(s.messages))):], s.grown
}

func (s *sliceSource) Info(context.Context) (engine.StreamInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return engine.StreamInfo{Name: "SLICE", Created: sliceCreated, Partitions: 1, First: 1, Last: uint64(len(s.messages)),
		Time: sliceCreated}, nil
}

func (s *sliceSource) FirstAfter(_ context.Context, after uint64) (position uint64, ok bool, err error) {
	if rest, _ := s.after(after); len(rest) > 0 {
		return rest[0].Position, true, nil
	}
	return 0, false, nil
}

func (s *sliceSource) At(_ context.Context, position uint64) (m projections.Message, ok bool, err error) {
	if rest, _ := s.after(position - 1); position > 0 && len(rest) > 0 {
		return rest[0], true, nil
	}
	return m, false, nil
}

func (s *sliceSource) Open(_ context.Context, after uint64) (engine.Reader, error) {
	return &sliceReader{source: s, after: after, closed: make(chan struct{})}, nil
}

type sliceReader struct {
	source *sliceSource
	after  uint64
	once   sync.Once
	closed chan struct{}
}

func (r *sliceReader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	for {
		ready, grown := r.source.after(r.after)
		select {
		case <-r.closed:
			return nil, errors.New("the reader is closed")
		default:
		}
		bytes := 0
		for i, m := range ready {
			if bytes += m.Size(); i > 0 && (i >= bound.Events || bytes > bound.Bytes) {
				break
			}
			buf, r.after = append(buf, m), m.Position
		}
		if len(ready) > 0 {
			return buf, nil
		}
		select {
		case <-grown:
		case <-r.closed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *sliceReader) Close() { r.once.Do(func() { close(r.closed) }) }

// tableStore keeps one generation in memory, for one projector.
type tableStore struct {
	mu          sync.Mutex
	stream      engine.StreamIdentity
	checkpoints []engine.Checkpoint
	tables      *projections.Tables
}

func (s *tableStore) Acquire(_ context.Context, stream engine.StreamInfo) (engine.Ownership, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checkpoints == nil {
		s.stream = engine.StreamIdentity{Name: stream.Name, Created: stream.Created, Partitions: stream.Partitions}
		for p := range stream.Partitions {
			s.checkpoints = append(s.checkpoints, engine.Checkpoint{Partition: p})
		}
	}
	for i := range s.checkpoints {
		s.checkpoints[i].Epoch++
	}
	return engine.Ownership{Generation: 1, Stream: s.stream, Checkpoints: slices.Clone(s.checkpoints)}, nil
}

func (s *tableStore) Load(_ context.Context, _ int64, accounts []events.UUID) (rows []projections.AccountRow, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range accounts {
		if r, ok := s.tables.Row(id); ok {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func (s *tableStore) Lookup(_ context.Context, _ int64, lookups []projections.Lookup) (results []projections.LookupResult, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range lookups {
		results = append(results, s.tables.Lookup(l))
	}
	return results, nil
}

func (s *tableStore) Commit(_ context.Context, b *engine.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range b.Advances {
		if a.Partition >= len(s.checkpoints) || s.checkpoints[a.Partition].Position != a.From || s.checkpoints[a.Partition].Epoch != a.Epoch {
			return engine.ErrFenced
		}
	}
	for _, a := range b.Advances {
		c := &s.checkpoints[a.Partition]
		c.Position, c.AsOf = a.To, a.AsOf
		if a.Last.Position > 0 {
			c.Last = a.Last
		}
		for outcome, n := range a.Tally {
			c.Tally[outcome] += n
		}
	}
	for i := range b.Changes {
		if err := s.tables.Apply(&b.Changes[i]); err != nil {
			return err
		}
	}
	for _, d := range b.Tiers {
		s.tables.Define(d)
	}
	for _, p := range b.Parked {
		if err := s.tables.Park(p); err != nil {
			return err
		}
	}
	return nil
}

// The rest is for stores that replicas share, or that can be paused.

func (s *tableStore) Heartbeat(context.Context, int64, bool) (engine.Assignment, error) {
	return engine.Assignment{}, errors.ErrUnsupported
}

func (s *tableStore) AwaitRebalance(context.Context) error { return errors.ErrUnsupported }

func (s *tableStore) Release(context.Context, int64, engine.Checkpoint) error {
	return errors.ErrUnsupported
}

func (s *tableStore) Owned(context.Context, int64, []int) ([]engine.Checkpoint, error) {
	return nil, errors.ErrUnsupported
}

func (s *tableStore) Paused(context.Context) (*engine.Pause, error) { return nil, nil }
