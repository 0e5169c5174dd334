package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/ops"
	"accountexport/internal/stream"
	"accountexport/outbox"
	"accountexport/projections/engine"
)

// TestEachEventOnceInOrder: beside writers, of which some roll back.
func TestEachEventOnceInOrder(t *testing.T) {
	a := newArena(t)
	a.relay(t, Options{Window: 50})
	want := map[string][]string{}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 10 {
		writers.Go(func() {
			for i := range 50 {
				id, to := fmt.Sprintf("%d-%d", w, i), account((w+i)%7)
				rolledBack := errors.New("rolled back")
				err := pgx.BeginFunc(t.Context(), a.pool, func(tx pgx.Tx) error {
					if err := outbox.Write(t.Context(), tx, increment(t, id, to)); err != nil {
						return err
					}
					if i%3 == 0 {
						return rolledBack
					}
					mu.Lock() // in the order of the commits of this account, since its counter is locked
					want[events.AccountSubject(to)] = append(want[events.AccountSubject(to)], id)
					mu.Unlock()
					return nil
				})
				if err != nil && !errors.Is(err, rolledBack) {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	a.drained(t, 0)
	if diff := cmp.Diff(want, a.stored(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOpenTransactionDelaysItsOwnAccounts, and what it has written is published once
// it commits, however late that is: its number is far behind then.
func TestOpenTransactionDelaysItsOwnAccounts(t *testing.T) {
	a := newArena(t)
	a.relay(t, Options{})
	tx, err := a.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Write(t.Context(), tx, increment(t, "late", account(1))); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		a.write(t, increment(t, fmt.Sprint(i), account(2)))
	}
	a.drained(t, 0)
	if got := a.stored(t)[events.AccountSubject(account(2))]; len(got) != 20 {
		t.Errorf("meanwhile: %v", got)
	}
	time.Sleep(2*lateAfter + time.Second) // until the relay looks for what is new only
	a.write(t, increment(t, "20", account(2)))
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.drained(t, 0)
	if got := a.stored(t)[events.AccountSubject(account(1))]; len(got) != 1 {
		t.Errorf("in the end: %v", got)
	}
}

// TestRefusedMessageHoldsUpItsOwnSubject: it is told of, and goes once the limit is
// raised; another one is given up by whoever removes it.
func TestRefusedMessageHoldsUpItsOwnSubject(t *testing.T) {
	a := newArena(t)
	a.reconfigure(t, func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = 1000 })
	large := func(id string, to events.UUID) events.Message {
		m, err := events.NewSandboxCreated(events.Meta{ID: id, Source: "/test", Time: events.TimeOf(time.Now())}, to,
			events.SandboxCreated{ID: "s", Template: strings.Repeat("x", 1000)})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	one, two, three := account(1), account(2), account(3)
	a.write(t, increment(t, "1a", one), large("1b", one), increment(t, "1c", one), increment(t, "2a", two), large("3a", three), increment(t, "3b", three))
	a.relay(t, Options{Retry: 200 * time.Millisecond})
	a.drained(t, 4)
	a.write(t, increment(t, "2b", two), increment(t, "1d", one))
	a.drained(t, 5)
	want := map[string][]string{events.AccountSubject(one): {"1a"}, events.AccountSubject(two): {"2a", "2b"}}
	if diff := cmp.Diff(want, a.stored(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s, err := ReadStatus(t.Context(), a.pool)
	if err != nil || len(s.Refused) != 2 || s.Refused[0].ID != "1b" && s.Refused[1].ID != "1b" || !strings.Contains(s.Refused[0].Reason, "size") {
		t.Errorf("status: %+v, %v", s, err)
	}
	if _, err := a.pool.Exec(t.Context(), `DELETE FROM outbox.messages WHERE id = '3a'`); err != nil {
		t.Fatal(err)
	}
	a.drained(t, 3)
	a.reconfigure(t, func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = -1 })
	a.drained(t, 0)
	want[events.AccountSubject(one)], want[events.AccountSubject(three)] = []string{"1a", "1b", "1c", "1d"}, []string{"3b"}
	if diff := cmp.Diff(want, a.stored(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOneRelayWorks: another one stands by, says so, and takes over.
func TestOneRelayWorks(t *testing.T) {
	a := newArena(t)
	one := a.relay(t, Options{})
	a.write(t, increment(t, "1", account(1)))
	a.drained(t, 0)
	two := a.relay(t, Options{})
	eventually(t, "standing by", func() (bool, string) {
		return strings.Contains(two.metrics.State(), "another relay works"), two.metrics.State()
	})
	if err := two.metrics.Ready(); err != nil {
		t.Errorf("standing by: %v", err)
	}
	if err := one.end(t); err != nil {
		t.Errorf("asked to end: %v", err)
	}
	a.write(t, increment(t, "2", account(1)))
	a.drained(t, 0)
	if two.metrics.State() != "" {
		t.Errorf("working: %s", two.metrics.State())
	}
}

// TestAnotherStreamIsRefused, and one that was restored from before; the way out that
// is named works, and publishes what waits once.
func TestAnotherStreamIsRefused(t *testing.T) {
	a := newArena(t)
	for i := range 3 {
		a.write(t, increment(t, fmt.Sprint("before-", i), account(1)))
	}
	r := a.relay(t, Options{})
	a.drained(t, 0)
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	a.write(t, increment(t, "waits", account(1)), increment(t, "is there", account(2)))
	for _, test := range []struct {
		what string
		make func()
		want error
	}{
		{"one that ends before", func() { // as after a backup was restored: the last position is given out again
			if _, err := a.pool.Exec(t.Context(), `UPDATE outbox.relay SET last_position = 4`); err != nil {
				t.Fatal(err)
			}
		}, engine.ErrStreamBehind},
		{"one that ends before what it was seen to hold of others", func() {
			if _, err := a.pool.Exec(t.Context(), `UPDATE outbox.relay SET last_position = 3, search_from = 4`); err != nil {
				t.Fatal(err)
			}
		}, engine.ErrStreamBehind},
		{"one with another end", func() {
			if _, err := a.pool.Exec(t.Context(), `UPDATE outbox.relay SET last_position = 3, search_from = 3, last_id = 'mine'`); err != nil {
				t.Fatal(err)
			}
		}, engine.ErrStreamBehind},
		{"one that was created anew", func() {
			if err := a.js.DeleteStream(t.Context(), "CONTROL_PLANE"); err != nil {
				t.Fatal(err)
			}
			a.provision(t)
		}, stream.ErrRecreated},
	} {
		test.make()
		r := a.relay(t, Options{})
		if err := r.wait(t); !errors.Is(err, test.want) || !contains(err, "--accept-stream") {
			t.Errorf("%s: %v", test.what, err)
		}
	}
	// Somebody has published one of those that wait to the new stream.
	msg := increment(t, "is there", account(2))
	var data []byte
	if err := a.pool.QueryRow(t.Context(), `SELECT data FROM outbox.messages WHERE id = 'is there'`).Scan(&data); err != nil {
		t.Fatal(err)
	}
	msg.Data = data
	if _, _, err := a.client.Publish(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	time.Sleep(110 * time.Millisecond) // the window for duplicates passes
	at := New(a.client, Options{Database: a.pool.Config().ConnConfig})
	got, err := at.AcceptStream(t.Context())
	if err != nil || got.Pending != 2 || got.LastPosition != 3 {
		t.Errorf("accepting: %+v, %v", got, err)
	}
	a.relay(t, Options{})
	a.drained(t, 0)
	want := map[string][]string{events.AccountSubject(account(1)): {"waits"}, events.AccountSubject(account(2)): {"is there"}}
	if diff := cmp.Diff(want, a.stored(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := at.AcceptStream(t.Context()); !errors.Is(err, ErrAtWork) {
		t.Errorf("beside a relay that works: %v", err)
	}
}

// TestRestoredOutbox: what a backup of the database has waiting is in the stream.
func TestRestoredOutbox(t *testing.T) {
	a := newArena(t)
	a.write(t, increment(t, "first", account(1)))
	r := a.relay(t, Options{})
	a.drained(t, 0)
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	var messages []events.Message
	for i := range 20 {
		messages = append(messages, increment(t, fmt.Sprint(i), account(i%3)))
	}
	a.write(t, messages...)
	for _, sql := range []string{`CREATE TABLE backup AS SELECT * FROM outbox.messages`, `CREATE TABLE backup_relay AS SELECT * FROM outbox.relay`} {
		if _, err := a.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		r = a.relay(t, Options{Window: 3})
		a.drained(t, 0)
		if err := r.end(t); err != nil {
			t.Fatal(err)
		}
		time.Sleep(110 * time.Millisecond) // the window for duplicates passes
		for _, sql := range []string{`INSERT INTO outbox.messages OVERRIDING SYSTEM VALUE SELECT * FROM backup`,
			`DELETE FROM outbox.relay`, `INSERT INTO outbox.relay SELECT * FROM backup_relay`} {
			if _, err := a.pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := 0
	for _, ids := range a.stored(t) {
		n += len(ids)
	}
	if n != 21 {
		t.Errorf("%d messages, want 21", n)
	}
}

func TestADatabaseWithoutAnOutboxIsRefused(t *testing.T) {
	a := newArena(t)
	if _, err := a.pool.Exec(t.Context(), `DROP SCHEMA outbox CASCADE`); err != nil {
		t.Fatal(err)
	}
	if err := a.relay(t, Options{}).wait(t); !errors.Is(err, ErrNoOutbox) {
		t.Errorf("%v", err)
	}
	if _, err := ReadStatus(t.Context(), a.pool); !errors.Is(err, ErrNoOutbox) {
		t.Errorf("status: %v", err)
	}
}

// TestWaitingForALockEnds before systemd's watchdog takes the relay for one that stands still:
// whoever holds the lock of the window, or a table's, keeps it from nothing else.
func TestWaitingForALockEnds(t *testing.T) {
	a := newArena(t)
	conn, err := pgx.ConnectConfig(t.Context(), a.pool.Config().ConnConfig.Copy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	relay := &table{conn: conn}
	if err := relay.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	var most time.Duration
	if err := conn.QueryRow(t.Context(), `SELECT setting::bigint * 1000000 FROM pg_settings WHERE name = 'lock_timeout'`).Scan(&most); err != nil {
		t.Fatal(err)
	}
	if most <= 0 || ops.LoopAlive(time.Now().Add(-most)) != nil {
		t.Errorf("it waits for a lock for %v", most)
	}
	if _, err := conn.Exec(t.Context(), `SET lock_timeout = 1`); err != nil { // so that the test ends
		t.Fatal(err)
	}
	tx, err := a.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock($1)`, int64(windowKey)); err != nil {
		t.Fatal(err)
	}
	if err := ofDatabase(relay.beginWindow(t.Context())); err == nil || final(err) || reasonOf(err) != reasonDatabase {
		t.Errorf("after that it ends with %v", err)
	}
}
