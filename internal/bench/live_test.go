package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel/export"
)

// BenchmarkLive measures how long after the publisher's acknowledgement an event is visible in its
// document, at 500 events a second over 200 accounts, against a bare loop at the same rate on the
// same database that reads a row of the same size, writes it back and commits.
func BenchmarkLive(b *testing.B) {
	perSecond, seconds := 500, size(10, 4)
	s := newStack(b)
	ids := publishAccounts(b, s, 200)
	stop := s.run(b, engine.Options{})
	defer stop()
	s.waitProjected(b)
	exports := export.NewReader(s.pool)
	copyDocuments(b, s, exports, ids)
	w, _ := startWatcher(b, s)
	for b.Loop() {
		ours := pace(perSecond, perSecond*seconds, func(i int) time.Duration { return timeToVisible(b, s, w, ids[i%len(ids)], i) })
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

// bareCommit reads a row, writes it back and commits.
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
