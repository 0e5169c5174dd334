package store_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestLostConnectionsAreNotWaitedForEver: connections that fall silent without ending,
// as through a network that was unplugged, give an error, and what is done after it
// uses new ones.
func TestLostConnectionsAreNotWaitedForEver(t *testing.T) {
	t.Parallel()
	direct := postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), direct); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	network := tcpproxy.ForTest(t, u.Host)
	u.Host = network.Addr()
	pool, err := pgxpool.New(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := store.NewStore(pool, "one", readmodeltest.Quiet)
	s.SetMinTimeout(500 * time.Millisecond)
	t.Cleanup(func() { s.Close(context.Background()) })
	t.Cleanup(func() { network.Cut() }) // runs first: closing would wait for an answer

	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Notified(t.Context())
	if n := network.Blackhole(); n < 2 {
		t.Fatalf("lost %d connections, want the member's and the pool's", n)
	}
	for what, use := range map[string]func() error{
		"Share":  func() error { _, err := s.Heartbeat(t.Context(), a.Ownership.Generation, true); return err },
		"Commit": func() error { return a.Commit() },
	} {
		if err := use(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s over a lost connection: %v, want that it took too long", what, err)
		}
	}
	a.Ownership = readmodeltest.Acquire(t, s)
	if rows, err := s.Load(t.Context(), a.Ownership.Generation, []events.UUID{a.ID}); err != nil || len(rows) != 1 {
		t.Errorf("Load over a new connection: %d rows, %v", len(rows), err)
	}
	if err := a.Commit(); err != nil {
		t.Errorf("Commit over a new connection: %v", err)
	}
}
