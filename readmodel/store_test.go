package readmodel_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

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

func TestForeignGenerationsAreRefused(t *testing.T) {
	for name, change := range map[string]string{
		"other major":      `UPDATE export.generations SET version_major = version_major + 1`,
		"newer minor":      `UPDATE export.generations SET version_minor = version_minor + 1`,
		"other partitions": `UPDATE export.generations SET partitions = 32`,
	} {
		t.Run(name, func(t *testing.T) {
			pool, s := open(t)
			acquire(t, s)
			if _, err := pool.Exec(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Acquire(t.Context(), stream); !errors.Is(err, engine.ErrRefused) {
				t.Errorf("%v, want refused", err)
			}
		})
	}
}
