package schemas_test

import (
	"errors"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// whatOnlyTheFoldRefuses is what takes the account's state to see.
func whatOnlyTheFoldRefuses() []unseen {
	return []unseen{
		{is: "a second team, and a team's event or a new API key that names another team than the account's",
			holds: func(_ events.Event, _ events.Message, r *events.Invalid) bool {
				return strings.HasPrefix(r.Want, "the account's team")
			}},
		{is: "a sum of a day's usage past the largest integer or decimal", holds: func(_ events.Event, _ events.Message, r *events.Invalid) bool {
			return strings.HasPrefix(r.Found, "a sum of ")
		}},
	}
}

// TestWhatOnlyTheFoldRefuses: what is parked for the account's state is sound by
// itself, is accepted by its schema, and is on the list, in one entry; each entry is
// needed.
func TestWhatOnlyTheFoldRefuses(t *testing.T) {
	t.Parallel()
	g := workload.New(testrun.Seed(t), workload.Config{Accounts: 30, HostileShare: 0.3})
	fold, needed := projections.NewFold(), map[string]int{}
	position := uint64(0)
	apply := func(m events.Message) {
		position++
		outcome, reason, err := fold.Apply(projections.Message{Position: position, Message: m})
		if err != nil {
			t.Fatal(err)
		}
		j := judge(t, m)
		if outcome != projections.Parked || j.reason != nil {
			return
		}
		if err := inGo(t, j.text); err != nil {
			t.Errorf("the schema refuses what only the fold can: %v", err)
		}
		var invalid *events.Invalid
		if !errors.As(reason, &invalid) {
			t.Fatalf("parked for %v", reason)
		}
		on := 0
		for _, u := range whatOnlyTheFoldRefuses() {
			if u.holds(j.event, m, invalid) {
				needed[u.is]++
				on++
			}
		}
		if on != 1 {
			t.Errorf("%d entries of the list are about: %v", on, reason)
		}
	}
	for range testrun.AtLength(5000, 50_000) {
		m := g.Next()
		apply(events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data})
	}
	// The sum of a day's two is past the largest.
	account := events.UUID{1}
	for range 2 {
		m, err := events.NewQuotaUsageIncremented(events.NewMeta("/s"), account, events.QuotaUsageIncremented{
			QuotaUsage: events.QuotaUsage{TeamID: events.UUID{2}, UsageDate: "2026-03-25", SandboxCreates: events.MaxInteger}})
		if err != nil {
			t.Fatal(err)
		}
		apply(m)
	}
	for _, u := range whatOnlyTheFoldRefuses() {
		if needed[u.is] == 0 {
			t.Errorf("no message needs the entry: %s", u.is)
		}
	}
}
