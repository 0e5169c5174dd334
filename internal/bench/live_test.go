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
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/export"
)

// BenchmarkLive measures how long after the publisher's acknowledgement an
// event is visible in its document, at 500 events a second over 200 accounts,
// against a bare loop that reads a row of the same size, writes it back and
// commits, at the same rate on the same database.
func BenchmarkLive(b *testing.B) {
	perSecond, seconds := 500, size(10, 4)
	s := newStack(b)
	ids := publishAccounts(b, s, 200)
	stop := s.run(b, engine.Options{})
	defer stop()
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.reached(b, info.Last)
	exports := export.NewReader(s.pool)
	copyDocuments(b, s, exports, ids)
	w := watch(b, s)
	for b.Loop() {
		ours := pace(perSecond, perSecond*seconds, func(i int) time.Duration { return visible(b, s, w, ids[i%len(ids)], i) })
		bare := pace(perSecond, perSecond*seconds, func(i int) time.Duration { return bareCommit(b, s, ids[i%len(ids)]) })
		row(b, "bare read, upsert, commit", "p50 "+percentile(bare, 0.5).String(), "p99 "+percentile(bare, 0.99).String())
		row(b, "acknowledged to visible", "p50 "+percentile(ours, 0.5).String(), "p99 "+percentile(ours, 0.99).String())
		p50 := percentile(ours, 0.5).Seconds() / percentile(bare, 0.5).Seconds()
		p99 := percentile(ours, 0.99).Seconds() / percentile(bare, 0.99).Seconds()
		row(b, "  multiple of bare (aim: 2)", fmt.Sprintf("p50 × %.2f", p50), fmt.Sprintf("p99 × %.2f", p99))
		b.ReportMetric(p50, "p50-of-bare")
		b.ReportMetric(p99, "p99-of-bare")
	}
}

// pace calls do n times, at most so many times a second, each in a goroutine
// of its own, and collects what they measured.
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

// watcher sees documents move on: one connection that asks for all positions,
// again and again, so that who waits costs nothing more when many wait.
type watcher struct {
	mu       sync.Mutex
	position map[events.UUID]uint64
	waiting  map[events.UUID][]wait
}

type wait struct {
	position uint64
	seen     chan time.Time
}

func watch(b *testing.B, s *stack) *watcher {
	w := &watcher{position: map[events.UUID]uint64{}, waiting: map[events.UUID][]wait{}}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	b.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			live, err := readmodel.LiveGeneration(ctx, s.pool)
			if err != nil {
				continue
			}
			rows, err := s.pool.Query(ctx, fmt.Sprintf(`SELECT account_id, position FROM export_g%d.account_export`, live.Number))
			if err != nil {
				continue
			}
			var id [16]byte
			var position uint64
			_, _ = pgx.ForEachRow(rows, []any{&id, &position}, func() error {
				w.saw(id, position)
				return nil
			})
		}
	}()
	return w
}

func (w *watcher) saw(account events.UUID, position uint64) {
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

func (w *watcher) await(account events.UUID, position uint64) time.Time {
	seen := make(chan time.Time, 1)
	w.mu.Lock()
	if w.position[account] >= position {
		seen <- time.Now()
	} else {
		w.waiting[account] = append(w.waiting[account], wait{position, seen})
		slices.SortFunc(w.waiting[account], func(x, y wait) int { return cmp.Compare(x.position, y.position) })
	}
	w.mu.Unlock()
	return <-seen
}

func visible(b *testing.B, s *stack, w *watcher, account events.UUID, i int) time.Duration {
	m, err := events.NewUserProfileUpdated(events.Meta{ID: fmt.Sprintf("live-%d-%d", time.Now().UnixNano(), i), Source: "/bench",
		Time: events.TimeOf(time.Now())}, account, events.UserProfileUpdated{Name: events.Some(fmt.Sprintf("name %d", i))})
	if err != nil {
		b.Error(err)
		return 0
	}
	position, _, err := s.client.Publish(b.Context(), m)
	if err != nil {
		b.Error(err)
		return 0
	}
	acked := time.Now()
	return w.await(account, position).Sub(acked)
}

func bareCommit(b *testing.B, s *stack, account events.UUID) time.Duration {
	began := time.Now()
	tx, err := s.pool.Begin(b.Context())
	if err != nil {
		b.Error(err)
		return 0
	}
	var doc []byte
	if err := tx.QueryRow(b.Context(), `SELECT document FROM bare WHERE account_id = $1`, [16]byte(account)).Scan(&doc); err != nil {
		b.Error(err)
	}
	if _, err := tx.Exec(b.Context(), `
INSERT INTO bare (account_id, document) VALUES ($1, $2) ON CONFLICT (account_id) DO UPDATE SET document = excluded.document`,
		[16]byte(account), doc); err != nil {
		b.Error(err)
	}
	if err := tx.Commit(b.Context()); err != nil {
		b.Error(err)
	}
	return time.Since(began)
}
