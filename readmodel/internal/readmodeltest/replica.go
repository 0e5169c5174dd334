package readmodeltest

import (
	"context"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel/store"
)

// The stream that tests are folded from, a time, and a logger that writes nothing.
var (
	Stream = engine.StreamInfo{Name: "S", Created: time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC), Partitions: 4}
	Noon   = time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	Quiet  = slog.New(slog.DiscardHandler)
)

// Acquire has the store acquire its partitions of [Stream].
func Acquire(t *testing.T, s *store.Store) engine.Ownership {
	t.Helper()
	own, err := s.Acquire(t.Context(), Stream)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// Member is one more replica on the database, whose partitions are taken over after
// half a second of silence.
func Member(t *testing.T, pool *pgxpool.Pool, name string) *store.Store {
	t.Helper()
	s := store.NewStore(pool, name, Quiet)
	s.Takeover = 500 * time.Millisecond
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// Heartbeat sends one heartbeat, and takes what partitions are free for the replica.
func Heartbeat(t *testing.T, s *store.Store) engine.Assignment {
	t.Helper()
	got, err := s.Heartbeat(t.Context(), 1, true)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// AwaitShare sends heartbeats until the replica owns n partitions of generation 1, and
// ends the test where it does not within 20 seconds.
func AwaitShare(t *testing.T, s *store.Store, n int) engine.Ownership {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		got, err := s.Heartbeat(t.Context(), 1, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Owned) == n {
			return engine.Ownership{Generation: 1, Checkpoints: got.Owned}
		}
		select {
		case <-deadline:
			t.Fatalf("owns %d partitions of its fair %d, want %d", len(got.Owned), got.Target, n)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// EndlessStream is the end of a stream that can still bring anything, as [admin.Compare]
// asks for it.
func EndlessStream(context.Context) (uint64, error) { return math.MaxUint64, nil }
