package relay

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/outbox"
)

// byHand is a relay that works window by window, as the test says.
func (a *arena) byHand(t *testing.T) *session {
	t.Helper()
	r := New(a.connect(t), Options{Database: a.pool.Config().ConnConfig, Logger: slog.New(slog.DiscardHandler)})
	table, end, err := r.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	if err := r.standBy(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	s := &session{Relay: r, t: table}
	if err := s.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAnEventThatWaitedForALateOneComesAfterIt: a transaction stays open for long, and
// another one on the same account waits for it. They commit one right after the other
// then, while the relay looks only behind what it has published meanwhile: there it
// sees the second event, and the first one is far before.
func TestAnEventThatWaitedForALateOneComesAfterIt(t *testing.T) {
	a := newArena(t)
	s := a.byHand(t)
	late, err := a.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Write(t.Context(), late, increment(t, "first", account(1))); err != nil {
		t.Fatal(err)
	}
	a.write(t, increment(t, "meanwhile", account(2)))
	if n, err := s.window(t.Context()); n != 1 || err != nil {
		t.Fatalf("meanwhile: %d messages, %v", n, err)
	}
	second := make(chan error, 1)
	go func() {
		second <- pgx.BeginFunc(context.Background(), a.pool, func(tx pgx.Tx) error {
			return outbox.Write(context.Background(), tx, increment(t, "second", account(1)))
		})
	}()
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	now := time.Now() // as after some seconds: not from the start, which was looked at just now
	s.scan = scan{highest: s.scan.highest, recent: s.scan.highest, older: s.scan.highest, since: now, whole: now, took: time.Minute}
	if _, err := s.window(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"first", "second"}, a.stored(t)[events.AccountSubject(account(1))]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
