package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/projections"
)

// refusingStore refuses commits that pass a position of a partition, and what else it
// is told to, until it is mended.
type refusingStore struct {
	*memoryStore
	partition int
	position  uint64
	load      bool // refuses to load accounts as well
	mended    chan struct{}
}

var errStore = errors.New("refused by the store")

func (s *refusingStore) broken() bool {
	select {
	case <-s.mended:
		return false
	default:
		return true
	}
}

func (s *refusingStore) Commit(ctx context.Context, b *Batch) error {
	for _, a := range b.Advances {
		if a.Partition == s.partition && a.To >= s.position && s.broken() {
			return fmt.Errorf("%w: the message of its owner", errStore)
		}
	}
	return s.memoryStore.Commit(ctx, b)
}

func (s *refusingStore) Load(ctx context.Context, generation int64, accounts []events.UUID) ([]projections.AccountRow, error) {
	if s.load && s.broken() {
		return nil, errStore
	}
	return s.memoryStore.Load(ctx, generation, accounts)
}

// failuresOf runs a projector until something has failed a few times, mends it, and
// returns the last failure.
func failuresOf(t *testing.T, e *harness, store *refusingStore) (last Failure) {
	ctx, cancel := context.WithCancel(t.Context())
	go func() { e.ended <- New(e.source, store, e.opt).Run(ctx) }()
	time.Sleep(time.Minute)
	e.watch.mu.Lock()
	n := len(e.watch.failures)
	if n > 0 {
		last = e.watch.failures[n-1]
	}
	e.watch.mu.Unlock()
	close(store.mended)
	store.wait(e.source.info.Last)
	cancel()
	if err := <-e.ended; err != nil || n < 3 {
		t.Fatalf("%d failures, and then %v", n, err)
	}
	return last
}

// TestFailureIsOfItsMessages: an error of a commit tells which messages of each
// partition the batch has, and of the first of them the type; so does one of a lookup.
// The error itself reads as before.
func TestFailureIsOfItsMessages(t *testing.T) {
	for name, load := range map[string]bool{"a commit": false, "a lookup": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newHarness(t, newGenerator(1, 2).stream(60))
				m := e.source.messages[40]
				m.Partition = max(m.Partition, 0)
				store := &refusingStore{memoryStore: e.store, partition: m.Partition, position: m.Position, load: load, mended: make(chan struct{})}
				f := failuresOf(t, e, store)
				if f.Reason != "store" || f.Generation != 1 || !errors.Is(f.Err, errStore) {
					t.Fatalf("%+v", f)
				}
				for _, s := range f.Partitions {
					var first, last *projections.Message
					for i := range e.source.messages {
						m := &e.source.messages[i]
						if max(m.Partition, 0) == s.Partition && m.Position >= s.First && m.Position <= s.Last {
							if last = m; first == nil {
								first = m
							}
						}
					}
					if first == nil || first.Position != s.First || last.Position != s.Last {
						t.Errorf("partition %d has no messages from %d to %d", s.Partition, s.First, s.Last)
						continue
					}
					d, err := projections.Decode(*first)
					if err != nil || s.Type != d.TypeLabel() {
						t.Errorf("partition %d: the message at %d is %s, not %s, %v", s.Partition, s.First, d.TypeLabel(), s.Type, err)
					}
				}
				if len(f.Partitions) == 0 {
					t.Error("no partition is named")
				}
				newReferenceModel(t, e.source.messages).check(t, e.store)
			})
		})
	}
}

// TestFailureWithoutAMessage names the session's partitions, at their checkpoints; one
// that comes before there is a session names none.
func TestFailureWithoutAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newHarness(t, newGenerator(1, 2).stream(20))
		e.source.silent = 1
		stop := e.run(t)
		e.store.wait(e.source.info.Last)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		e.watch.mu.Lock()
		defer e.watch.mu.Unlock()
		f := e.watch.failures[0]
		var want []Standing
		for p := range e.source.info.Partitions {
			want = append(want, Standing{Partition: p})
		}
		if diff := cmp.Diff(want, f.Partitions); diff != "" || f.Reason != "stalled" || f.Generation != 1 {
			t.Errorf("%+v (-want +got):\n%s", f, diff)
		}
	})
	if generation, at := WhereOf(fmt.Errorf("take ownership: %w", errStore)); generation != 0 || at != nil {
		t.Errorf("an error of nowhere is of generation %d, %v", generation, at)
	}
}
