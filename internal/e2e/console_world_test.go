package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"accountexport/events"
)

// world is what a small control plane has published over the last weeks: what is looked at
// in the console, also in its pictures.
type world struct {
	*system
	rng      *rand.Rand
	at       time.Time // of the next event
	n        int
	accounts []events.UUID
	made     []events.Message
}

// people are how the accounts are called, and their teams.
var people = []struct{ name, team string }{{"Ada Lovelace", "Analytical Engines"}, {"Grace Hopper", "Compilers"}, {"Alan Kay", "Dynabook"},
	{"Barbara Liskov", "Abstractions"}, {"Edsger Dijkstra", "Shortest Paths"}, {"Frances Allen", "Optimisers"}, {"Ken Thompson", "Regular"}, {"Radia Perlman", "Spanning Trees"}}

// newWorld publishes what forty accounts have lived through. The first of them is someone.
func newWorld(t *testing.T, s *system) *world {
	t.Helper()
	w := &world{system: s, rng: rand.New(rand.NewPCG(22, 22)), at: time.Now().Add(-40 * 24 * time.Hour)}
	for _, tier := range []events.QuotaTierDefined{{ID: "free", DisplayName: "Free", MaxConcurrentSandboxes: 2, DailySandboxCreates: 20, DailyGBHours: 24_000_000},
		{ID: "pro", DisplayName: "Pro", MaxConcurrentSandboxes: 50, DailySandboxCreates: 2000, DailyGBHours: 960_000_000}} {
		m, err := events.NewQuotaTierDefined(w.meta(), tier)
		w.add(t, m, err)
	}
	for i := range 40 {
		id := uuid(t, someone)
		if i > 0 {
			id = w.uuid()
		}
		w.accounts = append(w.accounts, id)
		w.register(t, id, i)
	}
	for i := range 400 {
		w.live(t, w.accounts[i%len(w.accounts)], i/len(w.accounts))
	}
	i := 0
	s.publishEach(t, len(w.made), func(int) (events.Message, error) { i++; return w.made[i-1], nil })
	w.made = nil
	return w
}

func (w *world) uuid() (id events.UUID) {
	for i := range id {
		id[i] = byte(w.rng.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// meta is the envelope of the next event, some minutes after the one before.
func (w *world) meta() events.Meta {
	w.n++
	w.at = w.at.Add(time.Duration(20+w.rng.IntN(120)) * time.Minute)
	return events.Meta{ID: fmt.Sprintf("01J%010d", w.n), Source: "/controlplane", Time: events.TimeOf(w.at)}
}

func (w *world) add(t *testing.T, m events.Message, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	w.made = append(w.made, m)
}

func (w *world) register(t *testing.T, id events.UUID, i int) {
	t.Helper()
	p := people[i%len(people)]
	m, err := events.NewUserRegistered(w.meta(), id, events.UserRegistered{Email: fmt.Sprintf("person%d@example.org", i), Tier: "free", QuotaTierID: "free", Name: &p.name})
	w.add(t, m, err)
	m, err = events.NewUserEmailVerified(w.meta(), id)
	w.add(t, m, err)
	m, err = events.NewTeamCreated(w.meta(), id, events.TeamCreated{ID: id, Name: p.team, Slug: fmt.Sprintf("team-%d", i), QuotaTierID: "free"})
	w.add(t, m, err)
}

// live adds an event of an account: round tells how often it has had one.
func (w *world) live(t *testing.T, id events.UUID, round int) {
	t.Helper()
	sandbox := fmt.Sprintf("sbx-%s-%d", id.String()[:4], round/4)
	var m events.Message
	var err error
	switch round {
	case 0, 4, 8:
		m, err = events.NewSandboxCreated(w.meta(), id, events.SandboxCreated{ID: sandbox, Template: "python-3.13", Metadata: []byte(`{"region":"eu-west","owner":"ci"}`)})
	case 1, 5, 9:
		m, err = events.NewSandboxStarted(w.meta(), id, events.SandboxStarted{ID: sandbox})
	case 2, 6:
		m, err = events.NewSandboxStatusChanged(w.meta(), id, events.SandboxStatusChanged{ID: sandbox, Status: "stopped"})
	case 3:
		m, err = events.NewUserTierChanged(w.meta(), id, events.UserTierChanged{Tier: "pro", QuotaTierID: "pro"})
	case 7:
		m, err = events.NewAPIKeyCreated(w.meta(), id, events.APIKeyCreated{ID: w.uuid(), TeamID: id, KeyPrefix: "sk_live_4f", Name: "deploys", Scope: "sandboxes"})
	}
	w.add(t, m, err)
}
