package bench

import (
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// BenchmarkPast measures what `projector export` and `history` wait for: one account's messages,
// found in a stream of two million over 100,000 accounts, and folded, against reading the whole
// stream.
func BenchmarkPast(b *testing.B) {
	const sample = 100
	accounts, total := size(100_000, 10_000), size(2_000_000, 150_000)
	s := newStack(b)
	backlog := workload.NewBacklog(1, accounts, total)
	var ids []events.UUID
	published := 0
	n, err := s.client.PublishAll(b.Context(), func() (events.Message, bool) {
		m, ok := backlog.Next()
		to := events.ParseSubject(m.Subject)
		if published++; published%(total/sample) == 0 && to.Kind == events.SubjectAccount {
			ids = append(ids, to.Account)
		}
		return message(m.Subject, m.Header, m.Data), ok
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		raw := timeReading(b, s, n)
		var took []time.Duration
		messages := 0
		for _, id := range ids {
			began := time.Now()
			h := projections.NewHistory(id)
			if err := s.client.ReadAccount(b.Context(), id, 0, func(m projections.Message) error {
				messages++
				_, err := h.Apply(m)
				return err
			}); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		row(b, "reading the whole stream", raw.Round(time.Millisecond).String())
		row(b, "one account's history, p50", percentile(took, 0.5).Round(10*time.Microsecond).String())
		row(b, "one account's history, p99", percentile(took, 0.99).Round(10*time.Microsecond).String())
		b.ReportMetric(float64(messages)/float64(len(ids)), "messages/account")
		b.ReportMetric(percentile(took, 0.5).Seconds()*1000, "p50-ms")
	}
}
