package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/readmodel"
)

// pace calls a function n times, at most this many times a second, each in its own goroutine, and
// collects the results.
func pace(perSecond, n int, do func(i int) time.Duration) []time.Duration {
	results := make(chan time.Duration, n)
	began := time.Now()
	for i := range n {
		if wait := time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))); wait > 0 {
			time.Sleep(wait)
		}
		go func() { results <- do(i) }()
	}
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = <-results
	}
	return out
}

// positionWatcher watches the positions of all documents over one connection that selects them
// repeatedly, so that many waiters cost no more than one.
type positionWatcher struct {
	mu       sync.Mutex
	position map[events.UUID]uint64
	waiting  map[events.UUID][]wait
}

type wait struct {
	position uint64
	seen     chan time.Time
}

// startWatcher watches the live generation until it is stopped, or the benchmark ends.
func startWatcher(b *testing.B, s *stack) (w *positionWatcher, stop func()) {
	return startWatcherOf(b, s, func(ctx context.Context) (string, error) {
		live, err := readmodel.LiveGeneration(ctx, s.pool)
		return fmt.Sprintf(`SELECT account_id, position FROM export_g%d.account_export`, live.Number), err
	})
}

// startWatcherOf watches what a query gives, account by account, until it is stopped, or
// the benchmark ends.
func startWatcherOf(b *testing.B, s *stack, query func(context.Context) (string, error)) (w *positionWatcher, stop func()) {
	w = &positionWatcher{position: map[events.UUID]uint64{}, waiting: map[events.UUID][]wait{}}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			sql, err := query(ctx)
			if err != nil {
				continue
			}
			rows, err := s.pool.Query(ctx, sql)
			if err != nil {
				continue
			}
			var id [16]byte
			var position uint64
			_, _ = pgx.ForEachRow(rows, []any{&id, &position}, func() error {
				w.record(id, position)
				return nil
			})
		}
	}()
	stop = func() { cancel(); <-done }
	b.Cleanup(stop)
	return w, stop
}

func (w *positionWatcher) record(account events.UUID, position uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.position[account] = position
	list := w.waiting[account]
	for len(list) > 0 && list[0].position <= position {
		list[0].seen <- time.Now()
		list = list[1:]
	}
	w.waiting[account] = list
}

// await returns when the account's document was seen at the position, or after it; ok is
// whether it was within a minute.
func (w *positionWatcher) await(account events.UUID, position uint64) (at time.Time, ok bool) {
	seen := make(chan time.Time, 1)
	w.mu.Lock()
	if w.position[account] >= position {
		seen <- time.Now()
	} else {
		w.waiting[account] = append(w.waiting[account], wait{position, seen})
		slices.SortFunc(w.waiting[account], func(x, y wait) int { return cmp.Compare(x.position, y.position) })
	}
	w.mu.Unlock()
	select {
	case at := <-seen:
		return at, true
	case <-time.After(time.Minute):
		return time.Time{}, false
	}
}

// timeToVisible publishes a change of an account, and returns how long after the acknowledgement
// its document has it.
func timeToVisible(b *testing.B, s *stack, w *positionWatcher, account events.UUID, i int) time.Duration {
	position, acknowledged, err := publishChange(b, s, account, i)
	if err != nil {
		b.Error(err)
		return 0
	}
	at, ok := w.await(account, position)
	if !ok {
		b.Errorf("position %d of %s is not visible after a minute", position, account)
		return time.Minute
	}
	return at.Sub(acknowledged)
}
