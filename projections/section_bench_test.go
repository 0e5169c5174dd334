package projections

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"accountexport/events"
)

// BenchmarkOldItems folds 2,000 events on random sandboxes of an account of 20,000, as a
// batch does whose pages have to be looked up.
func BenchmarkOldItems(b *testing.B) {
	const items, changes = 20_000, 2_000
	s := &stage{store: NewTables(), a: NewAccount(events.UUID{1})}
	id := func(i int) string { return fmt.Sprintf("sbx_%016x", uint64(i)*0x9e3779b97f4a7c15) }
	store := func() (bytes int) {
		c, err := s.a.Flush()
		if err == nil {
			err = s.store.Apply(&c)
		}
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range c.Pages {
			bytes += len(p.Body)
		}
		return bytes
	}
	apply := func(d *Decoded) {
		if out, err := s.a.Apply(d); err != nil || out != Applied {
			b.Fatal(out, err)
		}
	}
	for i := range items {
		apply(s.event(&events.SandboxCreated{ID: id(i), Template: "code-interpreter-v1",
			Metadata: fmt.Appendf(nil, `{"env":"production","region":"eu-central-1","run":"%016x","owner":"user-%d@example.org"}`, i, i%500)}))
	}
	store()
	random := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	var read, written int
	for b.Loop() {
		b.StopTimer()
		s.a.Trim()
		batch := make([]*Decoded, changes)
		var results []LookupResult
		for i := range batch {
			batch[i] = s.event(&events.SandboxStatusChanged{ID: id(random.IntN(items - 20)), Status: "paused"})
		}
		b.StartTimer()
		for _, d := range batch {
			needs, err := s.a.Lookups(d)
			if err != nil {
				b.Fatal(err)
			}
			for _, n := range needs {
				results = append(results, s.store.Lookup(n))
			}
		}
		for i := range results {
			read += len(results[i].Body)
			if err := s.a.Hydrate(&results[i]); err != nil {
				b.Fatal(err)
			}
		}
		for _, d := range batch {
			apply(d)
		}
		written += store()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/changes, "µs/event")
	b.ReportMetric(float64(read)/float64(b.N)/changes, "read-B/event")
	b.ReportMetric(float64(written)/float64(b.N)/changes, "written-B/event")
}
