package engine

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/projections"
)

// TestEngineAgreesWithFold projects random streams by RunToEnd, with batches and caches of
// many sizes, so that accounts are trimmed, evicted and loaded again between any two
// events. What is stored must be the same to the byte, and what the fold gives.
func TestEngineAgreesWithFold(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		g := newGenerator(seed, 4)
		messages := g.stream(testrun.AtLength(3000, 10_000))
		w := newReferenceModel(t, messages)
		if n := len(w.stored.Pages); n < 10 {
			t.Fatalf("only %d pages: the streams are too short to say anything", n)
		}
		for _, o := range []Options{
			{},
			{Batch: Bound{1, 1 << 20}, CacheBytes: 1},
			{Batch: Bound{7, 1 << 20}, CacheBytes: 1, Lanes: 3},
			{Batch: Bound{40, 1 << 20}, CacheBytes: 100 << 10},
			{Batch: Bound{300, 20 << 10}, CacheBytes: 300 << 10, Lanes: 2},
			{Batch: Bound{1 + g.IntN(500), 1 << 20}, CacheBytes: g.IntN(1 << 20), Lanes: 1 + g.IntN(6)},
		} {
			t.Run(fmt.Sprintf("batch=%d,cache=%d,lanes=%d", o.Batch.Events, o.CacheBytes, o.Lanes), func(t *testing.T) {
				watch := newObserver()
				o.Observer = watch
				s := runToEnd(t, messages, o)
				w.check(t, s)
				w.checkObserved(t, watch)
				if o.CacheBytes == 1 && s.lookups == 0 {
					t.Error("nothing was looked up in the store")
				}
			})
		}
	})
}

// TestRunAgreesWithFold follows random streams that grow while they are read, so that
// commits overlap with folding.
func TestRunAgreesWithFold(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		for lanes := 1; lanes <= 3; lanes++ {
			synctest.Test(t, func(t *testing.T) {
				messages := newGenerator(seed, 5).stream(testrun.AtLength(1500, 5000))
				s, watch := newMemoryStore(t), newObserver()
				run(t, seed, messages, s, nil, Options{Lanes: lanes, CacheBytes: 100 << 10, Observer: watch,
					Read: Bound{50, 1 << 20}, Batch: Bound{120, 1 << 20}})
				w := newReferenceModel(t, messages)
				w.check(t, s)
				w.checkObserved(t, watch)
				if len(watch.restarts) > 0 {
					t.Errorf("restarts: %v", watch.restarts)
				}
			})
		}
	})
}

// TestRunSurvivesFaults has every call of the store and the source fail at random, commits
// also after they took effect, and has another replica fence this one. The result is the
// same, and every message is counted once.
func TestRunSurvivesFaults(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		for lanes := 1; lanes <= 2; lanes++ {
			synctest.Test(t, func(t *testing.T) {
				messages := newGenerator(seed, 5).stream(testrun.AtLength(1500, 5000))
				watch := newObserver()
				f := newFaults(newRandom(seed), 10, 80)
				s := newMemoryStore(t)
				s.faults = f
				run(t, seed, messages, s, f, Options{Lanes: lanes, CacheBytes: 50 << 10, Observer: watch,
					Read: Bound{20, 1 << 20}, Batch: Bound{60, 1 << 20}})
				w := newReferenceModel(t, messages)
				w.check(t, s)
				for _, call := range []string{"acquire", "load", "lookup", "commit", "committed", "info", "open", "next"} {
					if f.seen[call] == 0 {
						t.Errorf("no %s failed", call)
					}
				}
				if len(watch.restarts) == 0 {
					t.Error("no restart was told of")
				}
			})
		}
	})
}

// run follows a stream that gets its messages bit by bit, until the checkpoint
// is at its end; then it asks the projector to stop.
func run(t *testing.T, seed uint64, messages []projections.Message, s *memoryStore, f *faults, opt Options) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	source := newMemorySource(nil)
	source.faults, source.random = f, newRandom(seed)
	s.slow = newRandom(seed + 2)
	opt.Logger = slog.New(slog.DiscardHandler)
	ended := make(chan error)
	go func() { ended <- New(source, s, opt).Run(ctx) }()
	r := newRandom(seed + 1)
	for len(messages) > 0 {
		n := 1 + r.IntN(min(len(messages), 400))
		source.add(messages[:n]...)
		messages = messages[n:]
		if r.IntN(3) == 0 {
			synctest.Wait() // all of it is read, and a commit is under way
		}
	}
	s.wait(source.info.Last)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestOrderBetweenAccounts folds the same messages in another order between accounts: each
// account and tier comes out the same.
func TestOrderBetweenAccounts(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		messages := newGenerator(seed, 6).stream(2000)
		g := newGenerator(seed+1, 1)
		bySubject := map[string][]projections.Message{}
		var order []string
		for _, m := range messages {
			bySubject[m.Subject] = append(bySubject[m.Subject], m)
			order = append(order, m.Subject)
		}
		g.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		var shuffled []projections.Message
		for i, subject := range order {
			m := bySubject[subject][0]
			bySubject[subject] = bySubject[subject][1:]
			m.Position = messages[i].Position
			shuffled = append(shuffled, m)
		}
		one, other := newReferenceModel(t, messages), newReferenceModel(t, shuffled)
		if diff := cmp.Diff(one.stored.withoutPositions(), other.stored.withoutPositions()); diff != "" {
			t.Errorf("tables (-one +other):\n%.4000s", diff)
		}
		for _, id := range one.fold.Accounts() {
			a, _, errA := one.fold.Document(id)
			b, _, errB := other.fold.Document(id)
			if string(a) != string(b) || errA != nil || errB != nil {
				t.Errorf("account %s: documents differ, or errors %v, %v", id, errA, errB)
			}
		}
		if diff := cmp.Diff(one.counts, other.counts); diff != "" {
			t.Errorf("outcomes (-one +other):\n%s", diff)
		}
	})
}

// TestSourceBytesAreNotKept overwrites every payload once it is folded: the fold must hold
// memory of its own.
func TestSourceBytesAreNotKept(t *testing.T) {
	messages := newGenerator(3, 3).stream(800)
	w := newReferenceModel(t, messages)
	f := projections.NewFold()
	for _, m := range messages {
		m.Data = append([]byte(nil), m.Data...)
		if _, _, err := f.Apply(m); err != nil {
			t.Fatal(err)
		}
		for i := range m.Data {
			m.Data[i] = '#'
		}
	}
	same := func(id events.UUID) bool {
		a, _, _ := w.fold.Document(id)
		b, _, _ := f.Document(id)
		return string(a) == string(b)
	}
	for _, id := range f.Accounts() {
		if !same(id) {
			t.Errorf("account %s: the document changed with a message's memory", id)
		}
	}
}
