package bench

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/projections"
	"accountexport/readmodel"
)

// BenchmarkNotify measures what the live path pays for telling the API of
// every commit: the time from acknowledged to visible at 500 events a second,
// in turns with and without, while one API listens and a request waits.
func BenchmarkNotify(b *testing.B) {
	perSecond, turns, seconds := 500, size(6, 2), 2
	s := newStack(b)
	ids := publishAccounts(b, s, 200)
	stop := s.run(b, projections.Options{})
	defer stop()
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.reached(b, info.Last)
	var notifying string
	// The one that this program calls, which has the most arguments.
	if err := s.pool.QueryRow(b.Context(), `
SELECT pg_get_functiondef(oid) FROM pg_proc
WHERE proname = 'advance' AND pronamespace = 'export'::regnamespace ORDER BY pronargs DESC LIMIT 1`).Scan(&notifying); err != nil {
		b.Fatal(err)
	}
	silent := strings.Replace(notifying, "NOTIFY export_checkpoints;", "", 1)
	if silent == notifying {
		b.Fatal("export.advance notifies nobody")
	}
	waits := readmodel.NewWaits(s.pool, quiet())
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() { _ = waits.Run(ctx) }()
	go func() { _, _, _ = waits.For(ctx, ids[0], 1<<60, time.Hour) }()
	w := watch(b, s)
	measure := func(function string) []time.Duration {
		if _, err := s.pool.Exec(b.Context(), function); err != nil {
			b.Fatal(err)
		}
		return pace(perSecond, perSecond*seconds, func(i int) time.Duration { return visible(b, s, w, ids[i%len(ids)], i) })
	}
	for b.Loop() {
		var with, without []time.Duration
		for range turns {
			without = append(without, measure(silent)...)
			with = append(with, measure(notifying)...)
		}
		row(b, "visible, nobody notified", "p50 "+percentile(without, 0.5).String(), "p99 "+percentile(without, 0.99).String())
		row(b, "visible, every commit notifies", "p50 "+percentile(with, 0.5).String(), "p99 "+percentile(with, 0.99).String())
		p50 := percentile(with, 0.5).Seconds() / percentile(without, 0.5).Seconds()
		p99 := percentile(with, 0.99).Seconds() / percentile(without, 0.99).Seconds()
		row(b, "  multiple", fmt.Sprintf("p50 × %.2f", p50), fmt.Sprintf("p99 × %.2f", p99))
		b.ReportMetric(p50, "p50-of-silent")
	}
}
