package console

import (
	"fmt"
	"testing"
	"time"

	"accountexport/events"
)

// Values that no page of a masked console may show.
var secrets = []string{"s3cret-mail@example.org", "s3cret-other@example.org", "S3cret Name", "s3cret-flag", "s3cret-meta", "s3cret-key", "s3cret-team",
	"s3cret-reason", "s3cret-template"}

// person is an account, and what was sent of it.
type person struct {
	s         *stack
	t         *testing.T
	id, team  events.UUID
	positions []uint64 // of all its messages
	begun     time.Time
}

func newPerson(t *testing.T, s *stack) *person {
	t.Helper()
	return &person{s: s, t: t, id: events.NewUUID(), team: events.NewUUID(), begun: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
}

// meta is the envelope of the account's next event, a minute after the one before.
func (p *person) meta() events.Meta {
	at := p.begun.Add(time.Duration(len(p.positions)) * time.Minute)
	return events.Meta{ID: fmt.Sprintf("%s-%d", p.id, len(p.positions)), Source: "/test", Time: events.TimeOf(at)}
}

// send publishes a message, without waiting until it is projected.
func (p *person) send(m events.Message, err error) uint64 {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	position, err := p.s.client.PublishRaw(p.t.Context(), m)
	if err != nil {
		p.t.Fatal(err)
	}
	p.positions = append(p.positions, position)
	return position
}

// register sends the events that make the account complete, and its tier's.
func (p *person) register() {
	p.t.Helper()
	m, err := events.NewQuotaTierDefined(meta(events.NewUUID().String()), events.QuotaTierDefined{ID: "free", DisplayName: "Free", MaxConcurrentSandboxes: 3})
	if err == nil {
		_, err = p.s.client.PublishRaw(p.t.Context(), m)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	name := "S3cret Name"
	p.send(events.NewUserRegistered(p.meta(), p.id, events.UserRegistered{Email: "s3cret-mail@example.org", Tier: "free", QuotaTierID: "free", Name: &name}))
	p.send(events.NewTeamCreated(p.meta(), p.id, events.TeamCreated{ID: p.team, Name: "s3cret-team", Slug: "s3cret-team", QuotaTierID: "free"}))
}

// live sends one of most kinds of events, a parked one among them. It does not wait.
func (p *person) live() {
	p.t.Helper()
	key := events.NewUUID()
	p.register()
	p.send(events.NewUserEmailChanged(p.meta(), p.id, events.UserEmailChanged{Email: "s3cret-other@example.org"}))
	p.send(events.NewUserEmailVerified(p.meta(), p.id))
	p.send(events.NewUserAbuseFlagsChanged(p.meta(), p.id, events.UserAbuseFlagsChanged{Flags: []events.Flag{{Name: "s3cret-flag", Value: []byte(`"s3cret-flag"`)}}}))
	p.send(events.NewAPIKeyCreated(p.meta(), p.id, events.APIKeyCreated{ID: key, TeamID: p.team, KeyPrefix: "s3cret-key", Name: "s3cret-key", Scope: "all"}))
	p.send(events.NewSandboxStarted(p.meta(), p.id, events.SandboxStarted{ID: "sbx-1"})) // waits for the next one
	p.send(events.NewSandboxCreated(p.meta(), p.id, events.SandboxCreated{ID: "sbx-1", Template: "s3cret-template", Metadata: []byte(`{"token":"s3cret-meta"}`)}))
	p.send(events.NewSandboxCreated(p.meta(), p.id, events.SandboxCreated{ID: "sbx-1", Template: "again"})) // a duplicate
	p.send(events.NewQuotaUsageRecorded(p.meta(), p.id, events.QuotaUsageRecorded{QuotaUsage: events.QuotaUsage{TeamID: p.team, UsageDate: "2026-03-01", SandboxCreates: 1}}))
	p.park()
	p.send(events.NewAPIKeyRevoked(p.meta(), p.id, events.APIKeyRevoked{ID: key}))
	p.send(events.NewUserProfileUpdated(p.meta(), p.id, events.UserProfileUpdated{DisplayName: events.Some("S3cret Name")}))
}

// settled waits until what was sent is projected. A checkpoint of a partition that is idle
// moves about once a second, so it is worth waiting for several accounts at once.
func (p *person) settled() {
	p.t.Helper()
	p.s.projected(p.t, p.positions[len(p.positions)-1])
}

// mislabel sends messages that have a value in the place of their type: one is ignored, and
// one is parked.
func (p *person) mislabel() {
	p.t.Helper()
	for _, at := range []string{"2026-03-01T10:00:00Z", "then"} {
		body := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/test","type":"s3cret-mail@example.org","time":%q,"data":{}}`, events.NewUUID(), at)
		p.send(events.Message{Subject: events.AccountSubject(p.id), Data: []byte(body)}, nil)
	}
}

// park sends a message that is parked, with a value in its reason.
func (p *person) park() uint64 {
	p.t.Helper()
	body := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/test","type":"controlplane.user.operator_changed.v1","time":"2026-03-01T10:00:00Z",
"data":{"is_operator":"s3cret-reason"}}`, events.NewUUID())
	return p.send(events.Message{Subject: events.AccountSubject(p.id), Data: []byte(body)}, nil)
}

// path is the account's screen.
func (p *person) path() string { return "/accounts/" + p.id.String() }
