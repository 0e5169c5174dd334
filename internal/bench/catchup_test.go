package bench

import (
	"testing"
	"time"

	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// BenchmarkCatchUp measures how fast a projector folds a backlog of 500,000 events over 5,000
// accounts into PostgreSQL, against only reading the same stream over the same connection.
func BenchmarkCatchUp(b *testing.B) {
	accounts, total := 5_000, size(500_000, 100_000)
	s := newStack(b)
	backlog := workload.NewBacklog(1, accounts, total)
	n := publishBacklog(b, s, backlog)
	for b.Loop() {
		raw := timeReading(b, s, n)
		began := time.Now()
		stop := s.run(b, engine.Options{})
		s.waitReached(b, uint64(n))
		took := time.Since(began)
		stop()
		row(b, "raw reading", rate(n, raw))
		row(b, "catching up, documents committed", rate(n, took))
		row(b, "  share of raw (aim: 25 %)", percent(raw, took))
		b.ReportMetric(raw.Seconds()/took.Seconds(), "of-raw")
		b.ReportMetric(float64(n)/took.Seconds(), "events/s")
	}
}

// timeReading is how long reading n messages takes.
func timeReading(b *testing.B, s *stack, n int) time.Duration {
	b.Helper()
	began := time.Now()
	r, err := s.client.Open(b.Context(), 0)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	buf := make([]projections.Message, 0, 8192)
	for read := 0; read < n; {
		if buf, err = r.Next(b.Context(), buf[:0], engine.Bound{Events: 8192, Bytes: 8 << 20}); err != nil {
			b.Fatal(err)
		}
		read += len(buf)
	}
	return time.Since(began)
}
