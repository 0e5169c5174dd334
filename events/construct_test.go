package events_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// TestConstructorsRoundTrip makes random events of every type: Decode gives
// back what was handed in, in both modes.
func TestConstructorsRoundTrip(t *testing.T) {
	check, seed, times := newRecheck(), testrun.Seed(t), 40
	if testrun.Long() {
		times = 500
	}
	for i, typ := range events.Types() {
		t.Run(events.ShortType(typ), func(t *testing.T) {
			g := newGenerator(seed + uint64(i))
			for range times {
				meta, account := g.meta(), g.uuid()
				structured, want := g.any(t, typ, meta, account)
				if got, err := check.judge(structured); got != accepted {
					t.Fatalf("the constructor made what the contract refuses: %v\n%s", err, structured.Data)
				}
				binary, err := structured.Binary()
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range []events.Message{structured, binary} {
					got, to, err := events.Decode(m)
					if err != nil {
						t.Fatalf("%v\n%v %s", err, m.Header, m.Data)
					}
					all := events.Event{ID: meta.ID, Source: meta.Source, Type: typ, Time: meta.Time, Data: want, Sound: true}
					if diff := cmp.Diff(all, got); diff != "" {
						t.Fatalf("(-want +got):\n%s", diff)
					}
					if tier, ok := want.(*events.QuotaTierDefined); ok {
						if to.Kind != events.SubjectTier || to.Tier != tier.ID {
							t.Fatalf("sent to %v", to)
						}
					} else if to.Kind != events.SubjectAccount || to.Account != account {
						t.Fatalf("sent to %v", to)
					}
					if m.EventID() != meta.ID {
						t.Fatalf("the message's id is %q, want %q", m.EventID(), meta.ID)
					}
				}
				if got, err := events.Address(structured.Data); err != nil || got.Subject != structured.Subject {
					t.Fatalf("the payload is addressed to %q, %v", got.Subject, err)
				}
			}
		})
	}
}

// TestTypes holds the list of types against the contract's table.
func TestTypes(t *testing.T) {
	var want []string
	for _, short := range slices.Sorted(maps.Keys(contractTable())) {
		want = append(want, "controlplane."+short)
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(events.Types()))); diff != "" {
		t.Errorf("(-contract +package):\n%s", diff)
	}
	for _, typ := range want {
		if !events.Known(typ) {
			t.Errorf("%s is not known", typ)
		}
	}
	for _, typ := range []string{"", "user.registered.v1", "controlplane.user.registered.v2", "controlplane.User.registered.v1",
		"controlplane.user.registered.v1 ", "controlplane."} {
		if events.Known(typ) {
			t.Errorf("%q is known", typ)
		}
	}
	if got := events.ShortType(events.TypeUserRestored); got != "user.restored.v1" {
		t.Errorf("the short type is %q", got)
	}
}

// TestConstructorsRefuse hands in what Decode would refuse, or what would come
// out as something else.
func TestConstructorsRefuse(t *testing.T) {
	g := newGenerator(1)
	account := g.uuid()
	good := events.Meta{ID: "1", Source: "/s", Time: 1}
	timed := func(t events.Time) events.Meta { return events.Meta{ID: "1", Source: "/s", Time: t} }
	usage := events.QuotaUsage{UsageDate: "2026-03-25"}
	none, never := events.UUID{}, events.TimeOf(time.Time{})
	key := events.APIKeyCreated{ID: g.uuid(), TeamID: g.uuid(), KeyPrefix: "k", Name: "n", Scope: "s"}
	apiKey := func(change func(*events.APIKeyCreated)) func() (events.Message, error) {
		d := key
		change(&d)
		return func() (events.Message, error) { return events.NewAPIKeyCreated(good, account, d) }
	}
	sandbox := func(d events.SandboxCreated) func() (events.Message, error) {
		return func() (events.Message, error) { return events.NewSandboxCreated(good, account, d) }
	}
	erased := func(m events.Meta) func() (events.Message, error) {
		return func() (events.Message, error) { return events.NewAccountErased(m, account) }
	}
	flags := func(f ...events.Flag) func() (events.Message, error) {
		return func() (events.Message, error) {
			return events.NewUserAbuseFlagsChanged(good, account, events.UserAbuseFlagsChanged{Flags: f})
		}
	}
	tier := func(d events.QuotaTierDefined) func() (events.Message, error) {
		return func() (events.Message, error) { return events.NewQuotaTierDefined(good, d) }
	}
	for _, test := range []struct {
		name, field string
		make        func() (events.Message, error)
	}{
		{"no id", "id", erased(events.Meta{Source: "/s", Time: 1})},
		{"no source", "source", erased(events.Meta{ID: "1", Time: 1})},
		{"a line break in the id", "id", erased(events.Meta{ID: "1\n2", Source: "/s", Time: 1})},
		{"an id that is no UTF-8", "payload", erased(events.Meta{ID: "\xff", Source: "/s", Time: 1})},
		{"a time before the year 1", "time", erased(timed(-62_135_596_800_000_001))},
		{"a time after the year 9999", "time", erased(timed(253_402_300_800_000_000))},
		{"a time so late that its digits would wrap", "time", erased(timed(8_000_000_000_000_000_000))},
		{"a time that was never set", "time", erased(timed(0))},
		{"a time.Time that was never set", "time", erased(timed(never))},
		{"an account that was never set", "account", func() (events.Message, error) { return events.NewAccountErased(good, none) }},
		{"a team that was never set", "data.team_id", func() (events.Message, error) {
			return events.NewQuotaUsageIncremented(good, account, events.QuotaUsageIncremented{QuotaUsage: usage})
		}},
		{"a team's id that was never set", "data.id", func() (events.Message, error) {
			return events.NewTeamSoftDeleted(good, account, events.TeamSoftDeleted{})
		}},
		{"an owner that was never set", "data.owner_user_id", func() (events.Message, error) {
			return events.NewTeamCreated(good, account, events.TeamCreated{ID: g.uuid(), Name: "n", Slug: "s", QuotaTierID: "q", OwnerUserID: &none})
		}},
		{"a key's id that was never set", "data.id", apiKey(func(d *events.APIKeyCreated) { d.ID = none })},
		{"a key's team that was never set", "data.team_id", apiKey(func(d *events.APIKeyCreated) { d.TeamID = none })},
		{"a parent key that was never set", "data.rotation_parent_key_id", apiKey(func(d *events.APIKeyCreated) { d.RotationParentKeyID = &none })},
		{"an expiry that was never set", "data.expires_at", apiKey(func(d *events.APIKeyCreated) { d.ExpiresAt = &never })},
		{"an expiry that is changed to nothing", "data.expires_at", func() (events.Message, error) {
			return events.NewAPIKeyUpdated(good, account, events.APIKeyUpdated{ID: key.ID, ExpiresAt: events.Some(events.Time(0))})
		}},
		{"a deletion that is scheduled for no time", "data.delete_scheduled_at", func() (events.Message, error) {
			return events.NewUserDeletionScheduled(good, account, events.UserDeletionScheduled{})
		}},
		{"no sandbox id", "data.id", sandbox(events.SandboxCreated{Template: "t"})},
		{"a long sandbox id", "data.id", sandbox(events.SandboxCreated{ID: strings.Repeat("é", 129), Template: "t"})},
		{"U+0000 in a text", "data.template", sandbox(events.SandboxCreated{ID: "s", Template: "a\x00"})},
		{"metadata that is no object", "data.metadata", sandbox(events.SandboxCreated{ID: "s", Template: "t", Metadata: []byte(`[]`)})},
		{"metadata that is nothing", "data.metadata", sandbox(events.SandboxCreated{ID: "s", Template: "t", Metadata: []byte{}})},
		{"metadata that adds a field", "data.metadata",
			sandbox(events.SandboxCreated{ID: "s", Template: "t", Metadata: []byte(`{},"status":"running"`)})},
		{"metadata with a name twice", "data.metadata",
			sandbox(events.SandboxCreated{ID: "s", Template: "t", Metadata: []byte(`{"a":1,"a":2}`)})},
		{"large metadata", "data.metadata",
			sandbox(events.SandboxCreated{ID: "s", Template: "t", Metadata: []byte(`{"a":"` + strings.Repeat("x", 65529) + `"}`)})},
		{"a flag twice", "payload", flags(events.Flag{Name: "a"}, events.Flag{Name: "a"})},
		{"a flag that adds one", "data.flags", flags(events.Flag{Name: "a", Value: []byte(`1,"b":2`)})},
		{"a tier without id", "subject", tier(events.QuotaTierDefined{DisplayName: "d"})},
		{"a tier's id that is no token", "subject", tier(events.QuotaTierDefined{ID: "a.b", DisplayName: "d"})},
		{"a negative integer", "data.max_concurrent_sandboxes", tier(events.QuotaTierDefined{ID: "a", DisplayName: "d", MaxConcurrentSandboxes: -1})},
		{"a large integer", "data.daily_sandbox_creates", tier(events.QuotaTierDefined{ID: "a", DisplayName: "d", DailySandboxCreates: 1 << 53})},
		{"a negative decimal", "data.daily_gb_hours", tier(events.QuotaTierDefined{ID: "a", DisplayName: "d", DailyGBHours: -1})},
		{"a large decimal", "data.daily_gb_hours", tier(events.QuotaTierDefined{ID: "a", DisplayName: "d", DailyGBHours: events.MaxDecimal + 1})},
		{"a time in the data after the year 9999", "data.delete_scheduled_at", func() (events.Message, error) {
			return events.NewUserDeletionScheduled(good, account, events.UserDeletionScheduled{DeleteScheduledAt: 253_402_300_800_000_000})
		}},
		{"a null name", "data.name", func() (events.Message, error) {
			return events.NewTeamUpdated(good, account, events.TeamUpdated{ID: account, Name: events.Clear[string]()})
		}},
		{"a day that is none", "data.usage_date", func() (events.Message, error) {
			return events.NewQuotaUsageRecorded(good, account, events.QuotaUsageRecorded{QuotaUsage: events.QuotaUsage{TeamID: account, UsageDate: "2026-02-30"}})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := test.make()
			var reason *events.Invalid
			if !errors.As(err, &reason) || reason.Field != test.field {
				t.Errorf("%v, want something about %s\n%s", err, test.field, m.Data)
			}
			if reason != nil {
				checkMasked(t, reason)
			}
			if m.Data != nil {
				t.Error("a message was made all the same")
			}
		})
	}
}
