package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestAccountGoesThroughItsStates: an account is unknown, incomplete, complete and
// erased in turn, and nothing of it is left in the end but a tombstone.
func TestAccountGoesThroughItsStates(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	x := export.NewReader(pool)
	if err := x.Ready(t.Context()); !errors.Is(err, readmodel.ErrNoGeneration) {
		t.Fatalf("before anything was projected: %v", err)
	}
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	if m, _ := readmodeltest.Read(t, x, a.ID); m.State != export.Unknown {
		t.Errorf("state %v, want never heard of", m.State)
	}
	a.Register()
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	if m, _ := readmodeltest.Read(t, x, a.ID); m.State != export.Incomplete || strings.Join(m.Missing, " ") != "quota_tier" {
		t.Errorf("state %v, missing %v, want quota_tier", m.State, m.Missing)
	}
	a.Apply(events.NewUserEmailVerified(a.Meta(), a.ID))
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	m, doc := readmodeltest.Read(t, x, a.ID)
	if m.State != export.Complete || m.Position != 3 || m.TierPosition != 7 || m.ETag() != `"1.0-3-7"` {
		t.Errorf("got %+v, %s", m, m.ETag())
	}
	want, _, err := a.State.Document(readmodeltest.FreeTier.Body)
	if err != nil || doc != string(want) {
		t.Errorf("got  %s\nwant %s (%v)", doc, want, err)
	}
	a.Apply(events.NewAccountErased(a.Meta(), a.ID))
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	if m, _ := readmodeltest.Read(t, x, a.ID); m.State != export.Erased {
		t.Errorf("state %v, want erased", m.State)
	}
	for _, table := range []string{"account_export_pages", "account_export_items", "account_waiting", "parked"} {
		var n int
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM export_g1."+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s holds %d rows of an erased account (%v)", table, n, err)
		}
	}
}

// TestManyItemsComeBackInOrder: an account with long sections is stored in many
// batches, with its state loaded anew before each, and read from its pages.
func TestManyItemsComeBackInOrder(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	whole := readmodeltest.NewAccount(t, s, a.Ownership, readmodeltest.AccountID) // never stored, never reloaded
	teamID, _ := events.ParseUUID(readmodeltest.TeamID)
	both := func(make func(*readmodeltest.Account) (events.Message, error)) {
		for _, x := range []*readmodeltest.Account{a, whole} {
			m, err := make(x)
			if err != nil {
				t.Fatal(err)
			}
			if x == a {
				x.Reload(m)
				continue
			}
			x.Apply(m, nil)
		}
	}
	a.Register()
	whole.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		both(func(x *readmodeltest.Account) (events.Message, error) {
			return events.NewSandboxCreated(x.Meta(), x.ID, events.SandboxCreated{ID: fmt.Sprintf("sbx-%d", i), Template: "t",
				Metadata: []byte(`{"n":` + fmt.Sprint(i) + `,"nul":"\u0000"}`)})
		})
		both(func(x *readmodeltest.Account) (events.Message, error) { // changes an old item
			return events.NewSandboxStatusChanged(x.Meta(), x.ID, events.SandboxStatusChanged{ID: fmt.Sprintf("sbx-%d", i*7%(i+1)), Status: fmt.Sprint("s", i)})
		})
		both(func(x *readmodeltest.Account) (events.Message, error) { // days out of order
			day := events.Date(fmt.Sprintf("20%02d-%02d-%02d", 10+i*13%17, 1+i*5%12, 1+i*11%28))
			return events.NewQuotaUsageIncremented(x.Meta(), x.ID, events.QuotaUsageIncremented{QuotaUsage: events.QuotaUsage{TeamID: teamID,
				UsageDate: day, SandboxCreates: 1, GBHours: 100_000}})
		})
		both(func(x *readmodeltest.Account) (events.Message, error) { // waits for an entity that comes later, or never
			return events.NewSandboxStarted(x.Meta(), x.ID, events.SandboxStarted{ID: fmt.Sprintf("sbx-%d", i+50)})
		})
	}
	x := export.NewReader(pool)
	_, got := readmodeltest.Read(t, x, a.ID)
	want, _, err := whole.State.Document(readmodeltest.FreeTier.Body)
	if err != nil || got != string(want) {
		t.Errorf("got %d bytes, want %d (%v)", len(got), len(want), err)
	}
	var pages int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM export_g1.account_export_pages`).Scan(&pages); err != nil || pages < 20 {
		t.Errorf("%d pages (%v): the test does not test pages", pages, err)
	}
}

// TestForeignGenerationsAreRefused: a generation that this program would fold differently
// is not taken on.
func TestForeignGenerationsAreRefused(t *testing.T) {
	for name, change := range map[string]string{
		"other major":      `UPDATE export.generations SET version_major = version_major + 1`,
		"newer minor":      `UPDATE export.generations SET version_minor = version_minor + 1`,
		"other partitions": `UPDATE export.generations SET partitions = 32`,
	} {
		t.Run(name, func(t *testing.T) {
			pool, s := readmodeltest.Open(t)
			readmodeltest.Acquire(t, s)
			if _, err := pool.Exec(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Acquire(t.Context(), readmodeltest.Stream); !errors.Is(err, engine.ErrRefused) {
				t.Errorf("%v, want refused", err)
			}
		})
	}
}
