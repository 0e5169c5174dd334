// Package readmodeltest is what tests of the read model share: a database of their
// own, accounts that are folded message by message, and streams in memory.
package readmodeltest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
	"accountexport/readmodel/store"
)

var (
	Stream = engine.StreamInfo{Name: "S", Created: time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC), Partitions: 4}
	Noon   = time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	Quiet  = slog.New(slog.DiscardHandler)
)

func Open(t *testing.T) (*pgxpool.Pool, *store.Store) {
	t.Helper()
	url := postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := store.NewStore(pool, "one", Quiet)
	t.Cleanup(func() { s.Close(context.Background()) })
	return pool, s
}

func Acquire(t *testing.T, s *store.Store) engine.Ownership {
	t.Helper()
	own, err := s.Acquire(t.Context(), Stream)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// account folds messages of one account, every one of them a batch of its own.
type Account struct {
	t         *testing.T
	store     *store.Store
	Ownership engine.Ownership
	ID        events.UUID
	State     *projections.Account
	Position  uint64
}

func NewAccount(t *testing.T, s *store.Store, own engine.Ownership, id string) *Account {
	t.Helper()
	u, err := events.ParseUUID(id)
	if err != nil {
		t.Fatal(err)
	}
	return &Account{t: t, store: s, Ownership: own, ID: u, State: projections.NewAccount(u)}
}

func (a *Account) Meta() events.Meta {
	a.Position++
	return events.Meta{ID: fmt.Sprint(a.Position), Source: "/test", Time: events.TimeOf(Noon) + events.Time(a.Position)}
}

// apply folds a message without storing it.
func (a *Account) Apply(m events.Message, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
	d, err := projections.Decode(projections.Message{Position: a.Position, Partition: 1, Message: m})
	if err != nil {
		a.t.Fatal(err)
	}
	if out, err := a.State.Apply(&d); err != nil {
		a.t.Fatalf("%s: %v", out, err)
	}
}

// commit stores what was folded, and moves partition 1 on to it.
func (a *Account) Commit(tiers ...projections.TierDefinition) error {
	a.t.Helper()
	ch, err := a.State.Flush()
	if err != nil {
		a.t.Fatal(err)
	}
	cp := &a.Ownership.Checkpoints[1]
	err = a.store.Commit(a.t.Context(), &engine.Batch{Generation: a.Ownership.Generation, Changes: []projections.Change{ch}, Tiers: tiers,
		Advances: []engine.Advance{{Partition: 1, From: cp.Position, To: a.Position, Epoch: cp.Epoch, AsOf: Noon,
			Tally: projections.Tally{1}}}})
	if err == nil {
		cp.Position = a.Position
	}
	return err
}

// reload does what the engine does: it loads the account's state anew, asks
// for what the message needs, folds it and stores it.
func (a *Account) Reload(m events.Message) {
	a.t.Helper()
	ctx := a.t.Context()
	rows, err := a.store.Load(ctx, a.Ownership.Generation, []events.UUID{a.ID})
	if err != nil || len(rows) != 1 {
		a.t.Fatalf("%d rows, %v", len(rows), err)
	}
	a.State = projections.LoadAccount(&rows[0])
	d, err := projections.Decode(projections.Message{Position: a.Position, Partition: 1, Message: m})
	if err != nil {
		a.t.Fatal(err)
	}
	needs, err := a.State.Lookups(&d)
	if err != nil {
		a.t.Fatal(err)
	}
	answers, err := a.store.Lookup(ctx, a.Ownership.Generation, needs)
	if err != nil {
		a.t.Fatal(err)
	}
	for i := range answers {
		if err := a.State.Hydrate(&answers[i]); err != nil {
			a.t.Fatal(err)
		}
	}
	if out, err := a.State.Apply(&d); err != nil {
		a.t.Fatalf("%s: %v", out, err)
	}
	if err := a.Commit(); err != nil {
		a.t.Fatal(err)
	}
}

const (
	AccountID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	TeamID    = "7a90c3cc-0d44-4b50-8888-8dd25736052a"
)

func (a *Account) Register() {
	id, _ := events.ParseUUID(TeamID)
	a.Apply(events.NewUserRegistered(a.Meta(), a.ID, events.UserRegistered{Email: "a@example.org", Tier: "free", QuotaTierID: "free"}))
	a.Apply(events.NewTeamCreated(a.Meta(), a.ID, events.TeamCreated{ID: id, Name: "T", Slug: "t", QuotaTierID: "free"}))
}

var FreeTier = projections.TierDefinition{ID: "free", Partition: 2, Position: 7, Body: []byte(`{"id":"free"}`)}

func Read(t *testing.T, x *export.Reader, id events.UUID) (export.Meta, string) {
	t.Helper()
	d, err := x.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	meta, err := x.Meta(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if meta.ETag() != d.ETag() || meta.State != d.State {
		t.Errorf("Meta says %v %s, Open says %v %s", meta.State, meta.ETag(), d.State, d.ETag())
	}
	var b bytes.Buffer
	if d.State == export.Complete {
		if _, err := d.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if d.Size() >= 0 && d.Size() != int64(b.Len()) {
			t.Errorf("Size says %d, %d were written", d.Size(), b.Len())
		}
	}
	return d.Meta, b.String()
}

func MustMessage(t *testing.T) func(events.Message, error) events.Message {
	return func(m events.Message, err error) events.Message {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// endForAnother has the server end the next few transactions that write a table,
// as it does for the sake of others.
func FailWrites(t *testing.T, pool *pgxpool.Pool, table, code string, times int) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), fmt.Sprintf(`
DROP SEQUENCE IF EXISTS ended CASCADE;
CREATE SEQUENCE ended; -- a roll-back does not reach it
CREATE OR REPLACE FUNCTION end_for_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('ended') <= %d THEN
        RAISE EXCEPTION 'ended for another' USING ERRCODE = '%s';
    END IF;
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS ended ON %[3]s;
CREATE TRIGGER ended BEFORE INSERT OR UPDATE OR DELETE ON %[3]s FOR EACH STATEMENT EXECUTE FUNCTION end_for_another()`, times, code, table)); err != nil {
		t.Fatal(err)
	}
}

// endless is a stream that can bring everything yet.
func EndlessStream(context.Context) (uint64, error) { return math.MaxUint64, nil }

// ahead moves all of a generation's checkpoints on.
func AdvanceCheckpoints(t *testing.T, pool *pgxpool.Pool, generation int) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET position = 100 WHERE generation = $1`, generation); err != nil {
		t.Fatal(err)
	}
}

// asBefore makes a generation one of the first format, as a program made it
// that knows of no other.
func DowngradeToPlainFormat(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `
UPDATE export.generations SET format = 1 WHERE generation = 1;
ALTER TABLE export_g1.account_export DROP COLUMN counted_at, DROP COLUMN messages, DROP COLUMN digest_high, DROP COLUMN digest_low`); err != nil {
		t.Fatal(err)
	}
}

func Exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// says reads what a generation's rows say; nothing of one whose count is of
// another position.
func RecordedSums(t *testing.T, pool *pgxpool.Pool, generation int) map[events.UUID]admin.Sum {
	t.Helper()
	rows, err := pool.Query(t.Context(), fmt.Sprintf(`
SELECT account_id, position, messages, digest_high, digest_low FROM export_g%d.account_export WHERE counted_at = position`, generation))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[events.UUID]admin.Sum{}
	for rows.Next() {
		var id [16]byte
		var s admin.Sum
		if err := rows.Scan(&id, &s.Position, &s.Messages, &s.Digest[0], &s.Digest[1]); err != nil {
			t.Fatal(err)
		}
		out[id] = s
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return out
}

// member is one more replica on the database, which loses its partitions after
// half a second of silence.
func Member(t *testing.T, pool *pgxpool.Pool, name string) *store.Store {
	t.Helper()
	s := store.NewStore(pool, name, Quiet)
	s.Takeover = 500 * time.Millisecond
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// owns has the replica share until it owns so many partitions, in generation 1.
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

// share tells that the replica lives, once.
func Heartbeat(t *testing.T, s *store.Store) engine.Assignment {
	t.Helper()
	got, err := s.Heartbeat(t.Context(), 1, true)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// largeAccount has a document of some megabytes, in pages that are beside what
// a projector would write.
func LargeAccount(t *testing.T, pool *pgxpool.Pool, s *store.Store, pages int) *Account {
	t.Helper()
	a := NewAccount(t, s, Acquire(t, s), AccountID)
	a.Register()
	if err := a.Commit(FreeTier); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE export_g1.account_export SET usage_pages = 1, key_pages = 2, sandbox_pages = $1 - 3, sandboxes_tail = '"the last"'`,
		`INSERT INTO export_g1.account_export_pages (account_id, section, page_key, body)
SELECT account_id, CASE WHEN i = 1 THEN 1 WHEN i <= 3 THEN 2 ELSE 3 END, to_char(i, 'FM0000000'), ('"' || rpad(i::text, 4000, md5(i::text)) || '"')::bytea
FROM export_g1.account_export, generate_series(1, $1::integer) i`,
	} {
		if _, err := pool.Exec(t.Context(), sql, pages); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// reading is a transaction that has read, and goes on.
func BeginRead(t *testing.T, pool *pgxpool.Pool, sql string) pgx.Tx {
	t.Helper()
	tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	var n int
	if err := tx.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return tx
}
