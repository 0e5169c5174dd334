package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
)

// person is an account, with a marker in everything that is published of it.
type person struct {
	id       events.UUID
	marker   string
	token    string
	seq      int
	position uint64 // in the last answer
	complete bool
	erased   bool
}

func (h *person) email() string { return h.marker + "@people.example" }

// mistyped is a message about the person on a subject of no account.
func (h *person) mistyped() events.Message {
	return events.Message{Subject: "controlplane.account.x" + h.id.String(), Data: []byte(`{"email":"` + h.email() + `"}`)}
}

func (p *simulation) publishTiers() {
	p.t.Helper()
	m, err := events.NewQuotaTierDefined(p.meta("tier"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
	if err == nil {
		_, err = p.publisher.PublishRaw(p.t.Context(), m)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *simulation) meta(id string) events.Meta {
	return events.Meta{ID: fmt.Sprint(id, "-", time.Now().UnixNano()), Source: "/people", Time: events.TimeOf(time.Now())}
}

// addPerson registers a new complete account with a parked message.
func (p *simulation) addPerson() *person {
	p.t.Helper()
	var id events.UUID
	for i := range id {
		id[i] = byte(p.rng.UintN(256))
	}
	id[6], id[8] = 0x40|id[6]&15, 0x80|id[8]&63
	h := &person{id: id, marker: "zq" + hex.EncodeToString(id[:6])}
	var err error
	if h.token, err = authtest.Mint(jwtSecret, issuer, id, h.email(), 24*time.Hour); err != nil {
		p.t.Fatal(err)
	}
	user, err := events.NewUserRegistered(p.meta("u"), id, events.UserRegistered{Email: h.email(), Tier: "t", QuotaTierID: "free"})
	if err != nil {
		p.t.Fatal(err)
	}
	team, err := events.NewTeamCreated(p.meta("t"), id, events.TeamCreated{ID: id, Name: h.marker, Slug: "s", QuotaTierID: "free"})
	if err != nil {
		p.t.Fatal(err)
	}
	// A second team is parked.
	second, err := events.NewTeamCreated(p.meta("t2"), id, events.TeamCreated{ID: events.UUID{9}, Name: h.marker, Slug: "s", QuotaTierID: "free"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range []events.Message{user, team, second} {
		if _, err := p.publisher.PublishRaw(p.t.Context(), m); err != nil {
			p.t.Fatal(err)
		}
	}
	// The mistyped message may be much earlier than the others.
	if _, err := p.publisher.PublishRaw(p.t.Context(), h.mistyped()); err != nil {
		p.t.Fatal(err)
	}
	p.people = append(p.people, h)
	return h
}

// traffic publishes what active people do, until ctx ends. What cannot be published is left out.
func (p *simulation) traffic(ctx context.Context) {
	rng := rand.New(rand.NewPCG(1, 2))
	for ctx.Err() == nil {
		p.mu.Lock()
		if living := p.activePeople(); len(living) > 0 && p.publisher.Connected() {
			limit, cancel := context.WithTimeout(ctx, 2*time.Second)
			_ = p.publishActivity(limit, living[rng.IntN(len(living))])
			cancel()
		}
		p.mu.Unlock()
		_ = sleep(ctx, 15*time.Millisecond)
	}
}

// publishActivity publishes one event of a person.
func (p *simulation) publishActivity(ctx context.Context, h *person) error {
	h.seq++
	m, err := events.NewSandboxCreated(p.meta("s"), h.id, events.SandboxCreated{ID: fmt.Sprint("sbx-", h.seq%40), Template: h.marker})
	if h.seq%3 == 0 && err == nil {
		m, err = events.NewUserProfileUpdated(p.meta("p"), h.id, events.UserProfileUpdated{Name: events.Some(fmt.Sprint(h.marker, h.seq))})
	}
	if err == nil {
		_, err = p.publisher.PublishRaw(ctx, m)
	}
	return err
}

// activePeople are those of whom events are published.
func (p *simulation) activePeople() []*person {
	return slices.DeleteFunc(slices.Clone(p.people), func(h *person) bool { return h.erased })
}

func (p *simulation) erasedCount() int { return len(p.people) - len(p.activePeople()) }

// chooseToErase is a random active person, of whom nothing more is published.
func (p *simulation) chooseToErase() *person {
	p.mu.Lock()
	defer p.mu.Unlock()
	living := p.activePeople()
	h := living[p.rng.IntN(len(living))]
	h.erased = true
	return h
}
