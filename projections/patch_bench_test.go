package projections

import (
	"fmt"
	"testing"

	"accountexport/events"
)

// BenchmarkPatches folds events of ten patch types: about entities that exist, and about
// entities that the events wait for. Last it computes the lookups of each, for an account
// that is not in memory as a whole.
func BenchmarkPatches(b *testing.B) {
	id, other := events.UUID{15: 1}, events.UUID{14: 1}
	position := uint64(0)
	decode := func(m events.Message, err error) *Decoded {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		position++
		d, err := Decode(Message{Position: position, Message: m})
		if err != nil || d.Invalid != nil {
			b.Fatal(err, d.Invalid)
		}
		return &d
	}
	meta := events.Meta{ID: "1", Source: "/bench", Time: 1_774_429_847_000_000}
	create := []*Decoded{
		decode(events.NewUserRegistered(meta, id, events.UserRegistered{Email: "a@example.org", Tier: "free", QuotaTierID: "free"})),
		decode(events.NewTeamCreated(meta, id, events.TeamCreated{ID: other, Name: "T", Slug: "t", QuotaTierID: "free"})),
	}
	for i := range 20 {
		create = append(create, decode(events.NewSandboxCreated(meta, id, events.SandboxCreated{ID: fmt.Sprint(i), Template: "t"})),
			decode(events.NewAPIKeyCreated(meta, id, events.APIKeyCreated{ID: events.UUID{15: byte(i)}, TeamID: other, KeyPrefix: "k", Name: "n", Scope: "s"})))
	}
	key, sandbox := events.UUID{15: 3}, "7"
	patches := []*Decoded{
		decode(events.NewUserProfileUpdated(meta, id, events.UserProfileUpdated{Name: events.Some("Ada")})),
		decode(events.NewUserEmailChanged(meta, id, events.UserEmailChanged{Email: "b@example.org"})),
		decode(events.NewUserTierChanged(meta, id, events.UserTierChanged{Tier: "pro", QuotaTierID: "pro"})),
		decode(events.NewTeamUpdated(meta, id, events.TeamUpdated{ID: other, Name: events.Some("U")})),
		decode(events.NewTeamQuotaTierChanged(meta, id, events.TeamQuotaTierChanged{ID: other, QuotaTierID: "pro"})),
		decode(events.NewAPIKeyUsed(meta, id, events.APIKeyUsed{ID: key})),
		decode(events.NewAPIKeyRevoked(meta, id, events.APIKeyRevoked{ID: key})),
		decode(events.NewSandboxStarted(meta, id, events.SandboxStarted{ID: sandbox})),
		decode(events.NewSandboxStatusChanged(meta, id, events.SandboxStatusChanged{ID: sandbox, Status: "stopped"})),
		decode(events.NewSandboxMetadataUpdated(meta, id, events.SandboxMetadataUpdated{ID: sandbox, Metadata: []byte(`{"a":1}`)})),
	}
	for name, first := range map[string][]*Decoded{"present": create, "waiting": nil} {
		b.Run(name, func(b *testing.B) {
			a := NewAccount(id)
			for _, d := range first {
				if out, err := a.Apply(d); out != Applied || err != nil {
					b.Fatal(out, err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, d := range patches {
					if out, err := a.Apply(d); err != nil || out == Parked {
						b.Fatal(out, err)
					}
				}
			}
		})
	}
	b.Run("lookups", func(b *testing.B) {
		a := LoadAccount(&AccountRow{ID: id, Waiting: 1000})
		b.ReportAllocs()
		for b.Loop() {
			for _, d := range patches {
				if needs, err := a.Lookups(d); err != nil || len(needs) == 0 {
					b.Fatal(needs, err)
				}
			}
		}
	})
}
