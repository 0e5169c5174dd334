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
	perSecond, seconds, turns := 500, size(5, 2), size(3, 2)
	r := newReport(b, "From acknowledged to visible")
	s := newStack(b)
	ids := publishAccounts(b, s, 200)
	stop := s.run(b, engine.Options{})
	defer stop()
	s.waitProjected(b)
	exports := export.NewReader(s.pool)
	copyDocuments(b, s, exports, ids)
	w, _ := startWatcher(b, s)
	for b.Loop() {
		for range turns {
			ours := pace(perSecond, perSecond*seconds, func(i int) time.Duration { return timeToVisible(b, s, w, ids[i%len(ids)], i) })
			bare := pace(perSecond, perSecond*seconds, func(i int) time.Duration { return bareCommit(b, s, ids[i%len(ids)]) })
			for _, p := range []float64{0.5, 0.99} {
				what, ours, bare := fmt.Sprintf("p%.0f: ", 100*p), percentile(ours, p), percentile(bare, p)
				r.add(what+"bare read, upsert, commit", "ms", milliseconds(bare))
				r.add(what+"acknowledged to visible", "ms", milliseconds(ours))
				r.add(what+"over the bare loop's (aim: 2)", "×", ours.Seconds()/bare.Seconds())
			}
		}
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
