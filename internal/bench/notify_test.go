package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel/export"
)

// BenchmarkNotify measures what it costs to notify those who wait of every commit: how many commits
// of a row 1, 4 and 8 connections do without NOTIFY, with NOTIFY in each, and with one notifier
// beside them; and how long a request with min_position waits after the publisher's acknowledgement
// when commits notify themselves and when that is done afterwards.
func BenchmarkNotify(b *testing.B) {
	r := newReport(b, "Notifying")
	s := newStack(b)
	for b.Loop() {
		measureCommits(b, s, r)
		measureWaits(b, s, r)
	}
}

func measureCommits(b *testing.B, s *stack, r *report) {
	if _, err := s.pool.Exec(b.Context(), `
DROP TABLE IF EXISTS committed; CREATE TABLE committed (id integer PRIMARY KEY, n bigint NOT NULL); INSERT INTO committed SELECT generate_series(0, 7), 0`); err != nil {
		b.Fatal(err)
	}
	span := time.Duration(size(1000, 500)) * time.Millisecond
	const alone, within = `UPDATE committed SET n = n + 1 WHERE id = $1`, `WITH moved AS (UPDATE committed SET n = n + 1 WHERE id = $1 RETURNING 1) SELECT pg_notify('bench', '') FROM moved`
	for _, n := range []int{1, 4, 8} {
		what := fmt.Sprintf("%d committers: ", n)
		for range 3 { // in turns
			plain := float64(countCommits(b, s, n, span, alone, false))
			r.add(what+"commits without notification", "thousand/s", plain/span.Seconds()/1000)
			r.add(what+"with NOTIFY in each", "%", 100*float64(countCommits(b, s, n, span, within, false))/plain)
			r.add(what+"with one notifier beside", "%", 100*float64(countCommits(b, s, n, span, alone, true))/plain)
		}
	}
}

// countCommits is how many commits n connections do in a span of time.
func countCommits(b *testing.B, s *stack, n int, span time.Duration, sql string, beside bool) (total int) {
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

// measureWaits measures min_position.
func measureWaits(b *testing.B, s *stack, r *report) {
	perSecond, turns, seconds := 200, size(5, 2), 2
	ids := publishAccounts(b, s, 200)
	stop := s.run(b, engine.Options{})
	defer stop()
	s.waitProjected(b)
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
		return pace(perSecond, perSecond*seconds, func(i int) time.Duration { return timeWithMinPosition(b, s, w, ids[i%len(ids)], i) })
	}
	for range turns {
		for _, way := range []struct{ what, function string }{{"told by the commit", within}, {"told afterwards", after}} {
			took := measure(way.function)
			for _, p := range []float64{0.5, 0.99} {
				r.add(fmt.Sprintf("min_position, %s: p%.0f", way.what, 100*p), "ms", milliseconds(percentile(took, p)))
			}
		}
	}
}

// timeWithMinPosition is how long a request for a position waits that was just acknowledged.
func timeWithMinPosition(b *testing.B, s *stack, w *export.Waiter, account events.UUID, i int) time.Duration {
	position, acknowledged, err := publishChange(b, s, account, i)
	if err != nil {
		b.Error(err)
		return 0
	}
	if _, reached, err := w.WaitFor(b.Context(), account, position, time.Minute); err != nil || !reached {
		b.Errorf("position %d: reached %t, %v", position, reached, err)
	}
	return time.Since(acknowledged)
}
