package readmodeltest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/export"
	"accountexport/readmodel/store"
)

// The account and the team of most tests.
const (
	AccountID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	TeamID    = "7a90c3cc-0d44-4b50-8888-8dd25736052a"
)

// FreeTier is the quota tier that [Account.Register] names.
var FreeTier = projections.TierDefinition{ID: "free", Partition: 2, Position: 7, Body: []byte(`{"id":"free"}`)}

// Account folds messages of one account, and commits each fold by itself to
// partition 1.
type Account struct {
	ID        events.UUID
	Ownership engine.Ownership // the epochs and positions that it commits by
	State     *projections.Account
	Position  uint64 // of its last message

	t     *testing.T
	store *store.Store
}

// NewAccount is an account of which nothing was folded yet.
func NewAccount(t *testing.T, s *store.Store, own engine.Ownership, id string) *Account {
	t.Helper()
	u, err := events.ParseUUID(id)
	if err != nil {
		t.Fatal(err)
	}
	return &Account{t: t, store: s, Ownership: own, ID: u, State: projections.NewAccount(u)}
}

// Meta is the envelope of the account's next message.
func (a *Account) Meta() events.Meta {
	a.Position++
	return events.Meta{ID: fmt.Sprint(a.Position), Source: "/test", Time: events.TimeOf(Noon) + events.Time(a.Position)}
}

// Register applies a registration and the creation of a team.
func (a *Account) Register() {
	id, _ := events.ParseUUID(TeamID)
	a.Apply(events.NewUserRegistered(a.Meta(), a.ID, events.UserRegistered{Email: "a@example.org", Tier: "free", QuotaTierID: "free"}))
	a.Apply(events.NewTeamCreated(a.Meta(), a.ID, events.TeamCreated{ID: id, Name: "T", Slug: "t", QuotaTierID: "free"}))
}

// Apply folds a message without storing it. It takes what the constructors of
// package events return.
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

// Commit stores what was folded, and moves partition 1 on to it.
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

// Reload folds a message as the engine does for an account that it has no longer in
// memory: it loads the account's state, looks up what the message needs, folds the
// message and commits.
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

// LargeAccount is an account with a document of some 4 kB for each of the pages, which
// are written beside what a projector would write.
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

// MustMessage is a function that takes what the constructors of package events return,
// and ends the test on an error.
func MustMessage(t *testing.T) func(events.Message, error) events.Message {
	return func(m events.Message, err error) events.Message {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// Read is the account's document, by [export.Reader.Open], which has to agree with
// [export.Reader.Meta]; empty where the account has none.
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
