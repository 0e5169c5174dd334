package engine

import (
	"context"
	"log/slog"
	"testing"
)

// BenchmarkRunToEnd folds a stream from memory into memory, without a tracer. Whether the
// hooks for one cost anything is seen by comparing it with the same benchmark of a
// revision before there were any.
func BenchmarkRunToEnd(b *testing.B) {
	messages := newGenerator(1, 50).stream(5000)
	b.ReportAllocs()
	for b.Loop() {
		p := New(newMemorySource(messages), newMemoryStore(b), Options{Logger: slog.New(slog.DiscardHandler), Batch: Bound{500, 1 << 20}})
		if err := p.RunToEnd(context.Background()); err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}
