package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel/export"
)

// BenchmarkNotify measures what it costs to tell who waits of every commit: how
// many commits of a row 1, 4 and 8 connections get done without, with NOTIFY in
// each, and with one notifier beside them; and how long a request with
// min_position waits, from the publisher's acknowledgement on, told by the
// commits themselves and afterwards.
func BenchmarkNotify(b *testing.B) {
	s := newStack(b)
	for b.Loop() {
		committers(b, s)
		waits(b, s)
	}
}

func committers(b *testing.B, s *stack) {
	if _, err := s.pool.Exec(b.Context(), `
DROP TABLE IF EXISTS committed; CREATE TABLE committed (id integer PRIMARY KEY, n bigint NOT NULL); INSERT INTO committed SELECT generate_series(0, 7), 0`); err != nil {
		b.Fatal(err)
	}
	span := time.Duration(size(2000, 500)) * time.Millisecond
	const alone, within = `UPDATE committed SET n = n + 1 WHERE id = $1`, `WITH moved AS (UPDATE committed SET n = n + 1 WHERE id = $1 RETURNING 1) SELECT pg_notify('bench', '') FROM moved`
	for _, n := range []int{1, 4, 8} {
		var done [3]int
		for range 3 { // in turns
			done[0] += commitsOf(b, s, n, span, alone, false)
			done[1] += commitsOf(b, s, n, span, within, false)
			done[2] += commitsOf(b, s, n, span, alone, true)
		}
		of := func(i int) string { return fmt.Sprintf("%.0f %%", 100*float64(done[i])/float64(done[0])) }
		row(b, fmt.Sprintf("commits, %d committers", n), rate(done[0], 3*span)+" unnotified", "NOTIFY in each "+of(1), "one notifier beside "+of(2))
		b.ReportMetric(float64(done[2])/float64(done[0]), fmt.Sprintf("of-unnotified-%d", n))
	}
}

// commitsOf counts what so many connections commit in a span of time.
func commitsOf(b *testing.B, s *stack, n int, span time.Duration, sql string, beside bool) (total int) {
	b.Helper()
	due := make(chan struct{}, 1)
	var notifier, all sync.WaitGroup
	if beside {
		notifier.Go(func() {
			for range due {
				q := &pgx.Batch{}
				q.Queue(`SELECT set_config('synchronous_commit', 'off', true)`)
				q.Queue(`NOTIFY bench`)
				if err := s.pool.SendBatch(b.Context(), q).Close(); err != nil {
					b.Error(err)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	counts := make([]int, n)
	until := time.Now().Add(span)
	for i := range n {
		all.Go(func() {
			for time.Now().Before(until) {
				if _, err := s.pool.Exec(b.Context(), sql, i); err != nil {
					b.Error(err)
					return
				}
				counts[i]++
				if beside {
					select {
					case due <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	all.Wait()
	close(due)
	notifier.Wait()
	for _, c := range counts {
		total += c
	}
	return total
}

// waits measures min_position.
func waits(b *testing.B, s *stack) {
	perSecond, turns, seconds := 200, size(5, 2), 2
	ids := publishAccounts(b, s, 200)
	stop := s.run(b, engine.Options{})
	defer stop()
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.reached(b, info.Last)
	var after string
	if err := s.pool.QueryRow(b.Context(), `SELECT pg_get_functiondef('export.advance_checkpoints'::regproc)`).Scan(&after); err != nil {
		b.Fatal(err)
	}
	end := strings.LastIndex(after, "END\n")
	if end < 0 {
		b.Fatal("export.advance_checkpoints has another end")
	}
	within := after[:end] + "NOTIFY export_checkpoints;\n" + after[end:]
	w := export.NewWaiter(s.pool, quiet())
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	defer running.Wait()
	defer cancel()
	measure := func(function string) []time.Duration {
		if _, err := s.pool.Exec(b.Context(), function); err != nil {
			b.Fatal(err)
		}
		return pace(perSecond, perSecond*seconds, func(i int) time.Duration { return waited(b, s, w, ids[i%len(ids)], i) })
	}
	var told, toldAfter []time.Duration
	for range turns {
		told = append(told, measure(within)...)
		toldAfter = append(toldAfter, measure(after)...)
	}
	for what, d := range map[string][]time.Duration{"min_position, told by the commit": told, "min_position, told afterwards": toldAfter} {
		row(b, what, "p50 "+percentile(d, 0.5).String(), "p99 "+percentile(d, 0.99).String(), "longest "+slices.Max(d).String())
	}
	b.ReportMetric(percentile(toldAfter, 0.5).Seconds()/percentile(told, 0.5).Seconds(), "wait-p50-of-before")
}

// waited is how long a request that asks for what was just acknowledged waits.
func waited(b *testing.B, s *stack, w *export.Waiter, account events.UUID, i int) time.Duration {
	m, err := events.NewUserProfileUpdated(events.Meta{ID: fmt.Sprintf("wait-%d-%d", time.Now().UnixNano(), i), Source: "/bench",
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
	if _, reached, err := w.WaitFor(b.Context(), account, position, time.Minute); err != nil || !reached {
		b.Errorf("position %d: reached %t, %v", position, reached, err)
	}
	return time.Since(acked)
}
