package relay

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"accountexport/events"
	"accountexport/internal/ingest"
)

// TestRefusedMessagesAreReadOneByOne: however many there are, and however large, trying
// them again takes the memory of one.
func TestRefusedMessagesAreReadOneByOne(t *testing.T) {
	a := newArena(t)
	const each, n = 4 << 20, 12
	payload := make([]byte, each)
	for i := range n {
		a.exec(t, `SELECT outbox.write($1, $2, NULL::jsonb, $3::bytea)`, events.AccountSubject(account(10+i)), fmt.Sprint("large-", i), payload)
	}
	s := a.byHand(t)
	for range n {
		if _, err := s.window(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.t.refused(t.Context())
	if err != nil || len(all) != n {
		t.Fatalf("%d are refused, %v", len(all), err)
	}
	live := &liveMemory{publisher: s.publisher, before: heap()}
	s.publisher = live
	if err := s.retryRefused(t.Context()); err != nil {
		t.Fatal(err)
	}
	if live.asked != n || live.most > 4*each {
		t.Errorf("%d were tried, with %d MiB in memory at once, want %d with that of one or so", live.asked, live.most>>20, n)
	}
}

// liveMemory is a publisher that looks how much memory is in use as it is called.
type liveMemory struct {
	publisher
	before, most uint64
	asked        int
}

func (l *liveMemory) Publish(ctx context.Context, items []ingest.Item, after uint64, acked func(int, ingest.Ack)) error {
	l.asked++
	if now := heap(); now > l.before {
		l.most = max(l.most, now-l.before)
	}
	return l.publisher.Publish(ctx, items, after, acked)
}

// heap is what is in use and no garbage.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
