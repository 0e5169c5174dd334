package projections

import (
	"fmt"
	"testing"

	"accountexport/events"
)

// BenchmarkRowToRow measures what a batch does with an account of which it has one event:
// load the row, apply the event, and write the row again.
func BenchmarkRowToRow(b *testing.B) {
	a := NewAccount(events.UUID{1})
	apply := func(a *Account, data events.Payload) {
		if out, err := a.Apply(&Decoded{Event: events.Event{Data: data, Time: 1_700_000_000_123_456, Sound: true}}); out != Applied {
			b.Fatal(out, err)
		}
	}
	apply(a, &events.UserRegistered{Email: "ada@example.com", Tier: "pro", QuotaTierID: "pro"})
	apply(a, &events.TeamCreated{ID: events.UUID{2}, Name: "Engines", Slug: "engines", QuotaTierID: "pro"})
	apply(a, &events.APIKeyCreated{ID: events.UUID{3}, TeamID: events.UUID{2}, KeyPrefix: "k", Name: "n", Scope: "all"})
	for n := range 8 {
		apply(a, &events.SandboxCreated{ID: fmt.Sprint("sandbox-", n), Template: "base"})
	}
	stored, err := a.Flush()
	if err != nil {
		b.Fatal(err)
	}
	for name, data := range map[string]events.Payload{"user": &events.UserEmailVerified{},
		"key": &events.APIKeyUsed{ID: events.UUID{3}}, "sandbox": &events.SandboxStarted{ID: "sandbox-3"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a := LoadAccount(&stored.Row)
				apply(a, data)
				if _, err := a.Flush(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
