package readmodel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

var (
	stream = engine.StreamInfo{Name: "S", Created: time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC), Partitions: 4}
	noon   = time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	quiet  = slog.New(slog.DiscardHandler)
)

func open(t *testing.T) (*pgxpool.Pool, *readmodel.Store) {
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
	s := readmodel.NewStore(pool, "one", quiet)
	t.Cleanup(func() { s.Close(context.Background()) })
	return pool, s
}

func acquire(t *testing.T, s *readmodel.Store) engine.Ownership {
	t.Helper()
	own, err := s.Acquire(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// account folds messages of one account, every one of them a batch of its own.
type account struct {
	t     *testing.T
	store *readmodel.Store
	own   engine.Ownership
	id    events.UUID
	state *projections.Account
	at    uint64
}

func newAccount(t *testing.T, s *readmodel.Store, own engine.Ownership, id string) *account {
	t.Helper()
	u, err := events.ParseUUID(id)
	if err != nil {
		t.Fatal(err)
	}
	return &account{t: t, store: s, own: own, id: u, state: projections.NewAccount(u)}
}

func (a *account) meta() events.Meta {
	a.at++
	return events.Meta{ID: fmt.Sprint(a.at), Source: "/test", Time: events.TimeOf(noon) + events.Time(a.at)}
}

// apply folds a message without storing it.
func (a *account) apply(m events.Message, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
	d, err := projections.Decode(projections.Message{Position: a.at, Partition: 1, Message: m})
	if err != nil {
		a.t.Fatal(err)
	}
	if out, err := a.state.Apply(&d); err != nil {
		a.t.Fatalf("%s: %v", out, err)
	}
}

// commit stores what was folded, and moves partition 1 on to it.
func (a *account) commit(tiers ...projections.TierDefinition) error {
	a.t.Helper()
	ch, err := a.state.Flush()
	if err != nil {
		a.t.Fatal(err)
	}
	cp := &a.own.Checkpoints[1]
	err = a.store.Commit(a.t.Context(), &engine.Batch{Generation: a.own.Generation, Changes: []projections.Change{ch}, Tiers: tiers,
		Advances: []engine.Advance{{Partition: 1, From: cp.Position, To: a.at, Epoch: cp.Epoch, AsOf: noon,
			Tally: projections.Tally{1}}}})
	if err == nil {
		cp.Position = a.at
	}
	return err
}

const (
	someone = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	team    = "7a90c3cc-0d44-4b50-8888-8dd25736052a"
)

func (a *account) register() {
	id, _ := events.ParseUUID(team)
	a.apply(events.NewUserRegistered(a.meta(), a.id, events.UserRegistered{Email: "a@example.org", Tier: "free", QuotaTierID: "free"}))
	a.apply(events.NewTeamCreated(a.meta(), a.id, events.TeamCreated{ID: id, Name: "T", Slug: "t", QuotaTierID: "free"}))
}

var freeTier = projections.TierDefinition{ID: "free", Partition: 2, Position: 7, Body: []byte(`{"id":"free"}`)}

func read(t *testing.T, x *readmodel.Exports, id events.UUID) (readmodel.Meta, string) {
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
	if d.State == readmodel.Complete {
		if _, err := d.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if d.Size() >= 0 && d.Size() != int64(b.Len()) {
			t.Errorf("Size says %d, %d were written", d.Size(), b.Len())
		}
	}
	return d.Meta, b.String()
}

func TestAccountGoesThroughItsStates(t *testing.T) {
	pool, s := open(t)
	x := readmodel.NewExports(pool)
	if err := x.Ready(t.Context()); !errors.Is(err, readmodel.ErrNoGeneration) {
		t.Fatalf("before anything was projected: %v", err)
	}
	a := newAccount(t, s, acquire(t, s), someone)
	if m, _ := read(t, x, a.id); m.State != readmodel.NotHeard {
		t.Errorf("state %v, want never heard of", m.State)
	}
	a.register()
	if err := a.commit(); err != nil {
		t.Fatal(err)
	}
	if m, _ := read(t, x, a.id); m.State != readmodel.Incomplete || strings.Join(m.Missing, " ") != "quota_tier" {
		t.Errorf("state %v, missing %v, want quota_tier", m.State, m.Missing)
	}
	a.apply(events.NewUserEmailVerified(a.meta(), a.id))
	if err := a.commit(freeTier); err != nil {
		t.Fatal(err)
	}
	m, doc := read(t, x, a.id)
	if m.State != readmodel.Complete || m.Position != 3 || m.TierPosition != 7 || m.ETag() != `"1.0-3-7"` {
		t.Errorf("got %+v, %s", m, m.ETag())
	}
	want, _, err := a.state.Document(freeTier.Body)
	if err != nil || doc != string(want) {
		t.Errorf("got  %s\nwant %s (%v)", doc, want, err)
	}
	a.apply(events.NewAccountErased(a.meta(), a.id))
	if err := a.commit(); err != nil {
		t.Fatal(err)
	}
	if m, _ := read(t, x, a.id); m.State != readmodel.Erased {
		t.Errorf("state %v, want erased", m.State)
	}
	for _, table := range []string{"account_export_pages", "account_export_items", "account_waiting", "parked"} {
		var n int
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM export_g1."+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s holds %d rows of an erased account (%v)", table, n, err)
		}
	}
}

// TestManyItemsComeBackInOrder stores an account with long sections in many
// batches, the state loaded anew before each, and reads it from its pages.
func TestManyItemsComeBackInOrder(t *testing.T) {
	pool, s := open(t)
	a := newAccount(t, s, acquire(t, s), someone)
	whole := newAccount(t, s, a.own, someone) // never stored, never reloaded
	teamID, _ := events.ParseUUID(team)
	both := func(make func(*account) (events.Message, error)) {
		for _, x := range []*account{a, whole} {
			m, err := make(x)
			if err != nil {
				t.Fatal(err)
			}
			if x == a {
				x.reload(m)
				continue
			}
			x.apply(m, nil)
		}
	}
	a.register()
	whole.register()
	if err := a.commit(freeTier); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		both(func(x *account) (events.Message, error) {
			return events.NewSandboxCreated(x.meta(), x.id, events.SandboxCreated{ID: fmt.Sprintf("sbx-%d", i), Template: "t",
				Metadata: []byte(`{"n":` + fmt.Sprint(i) + `,"nul":"\u0000"}`)})
		})
		both(func(x *account) (events.Message, error) { // an old one
			return events.NewSandboxStatusChanged(x.meta(), x.id, events.SandboxStatusChanged{ID: fmt.Sprintf("sbx-%d", i*7%(i+1)), Status: fmt.Sprint("s", i)})
		})
		both(func(x *account) (events.Message, error) { // days come out of order
			day := events.Date(fmt.Sprintf("20%02d-%02d-%02d", 10+i*13%17, 1+i*5%12, 1+i*11%28))
			return events.NewQuotaUsageIncremented(x.meta(), x.id, events.QuotaUsageIncremented{QuotaUsage: events.QuotaUsage{TeamID: teamID,
				UsageDate: day, SandboxCreates: 1, GBHours: 100_000}})
		})
		both(func(x *account) (events.Message, error) { // waits for one that comes later, or never
			return events.NewSandboxStarted(x.meta(), x.id, events.SandboxStarted{ID: fmt.Sprintf("sbx-%d", i+50)})
		})
	}
	x := readmodel.NewExports(pool)
	_, got := read(t, x, a.id)
	want, _, err := whole.state.Document(freeTier.Body)
	if err != nil || got != string(want) {
		t.Errorf("got %d bytes, want %d (%v)", len(got), len(want), err)
	}
	var pages int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM export_g1.account_export_pages`).Scan(&pages); err != nil || pages < 20 {
		t.Errorf("%d pages (%v): the test does not test pages", pages, err)
	}
}

// reload does what the engine does: it loads the account's state anew, asks
// for what the message needs, folds it and stores it.
func (a *account) reload(m events.Message) {
	a.t.Helper()
	ctx := a.t.Context()
	rows, err := a.store.Load(ctx, a.own.Generation, []events.UUID{a.id})
	if err != nil || len(rows) != 1 {
		a.t.Fatalf("%d rows, %v", len(rows), err)
	}
	a.state = projections.LoadAccount(&rows[0])
	d, err := projections.Decode(projections.Message{Position: a.at, Partition: 1, Message: m})
	if err != nil {
		a.t.Fatal(err)
	}
	needs, err := a.state.Needs(&d)
	if err != nil {
		a.t.Fatal(err)
	}
	answers, err := a.store.Lookup(ctx, a.own.Generation, needs)
	if err != nil {
		a.t.Fatal(err)
	}
	for i := range answers {
		if err := a.state.Supply(&answers[i]); err != nil {
			a.t.Fatal(err)
		}
	}
	if out, err := a.state.Apply(&d); err != nil {
		a.t.Fatalf("%s: %v", out, err)
	}
	if err := a.commit(); err != nil {
		a.t.Fatal(err)
	}
}
