package projections

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"accountexport/events"
)

func ptr[T any](v T) *T { return &v }

const hostile = "q\" b\\ n\n {[,:]} \u0001\u2028 é ☃ \U0001F600"

// TestStoredFormReadsBack writes each entity with every value set, and with every value
// empty, and reads it back.
func TestStoredFormReadsBack(t *testing.T) {
	id, other, at := events.UUID{1, 0xab}, events.UUID{0xff}, events.Time(1_767_225_600_123_000)
	check := func(name string, want entity, read func(b []byte) (any, error)) {
		t.Helper()
		b := want.appendJSON(nil)
		got, err := read(b)
		if err != nil {
			t.Errorf("%s: %v in %s", name, err, b)
			return
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(flags{}), cmpopts.IgnoreFields(flags{}, "index", "holes")); diff != "" {
			t.Errorf("%s (-written +read): %s", name, diff)
		}
	}
	user := func(b []byte) (any, error) { return readUser(b) }
	team := func(b []byte) (any, error) { return readTeam(b) }
	day := func(b []byte) (any, error) { return readUsageDay(b) }
	key := func(b []byte) (any, error) { return readAPIKey(b) }
	box := func(b []byte) (any, error) { return readSandbox(b) }

	check("full user", &User{ID: id, Email: hostile, Tier: "t", QuotaTierID: "q", IsOperator: true, CreatedAt: at,
		UpdatedAt: -at, Name: ptr(hostile), DisplayName: ptr(""), AvatarURL: ptr("null"), EmailVerifiedAt: ptr(at),
		SoftDeletedAt: ptr(events.Time(0)), DeleteScheduledAt: ptr(-at), AbuseFlags: flags{list: []events.Flag{
			{Name: hostile, Value: []byte(`{"a":[1.0,"}"]}`)}, {Name: "", Value: []byte("1e5")}}}}, user)
	check("empty user", &User{}, user)
	check("full team", &Team{ID: id, Name: hostile, Slug: "s", OwnerUserID: other, QuotaTierID: "q", CreatedAt: at,
		UpdatedAt: at, SoftDeletedAt: ptr(at)}, team)
	check("empty team", &Team{}, team)
	check("full day", &UsageDay{TeamID: id, UsageDate: "2026-02-28", SandboxCreates: events.MaxInteger,
		GBHours: events.MaxDecimal, UpdatedAt: at}, day)
	check("empty day", &UsageDay{}, day)
	check("full key", &APIKey{ID: id, UserID: other, TeamID: id, KeyPrefix: "p", Name: hostile, IsActive: true,
		CreatedAt: at, LastUsedAt: ptr(at), Scope: "s", RevokedAt: ptr(at), ExpiresAt: ptr(at), RotationParentKeyID: ptr(other)}, key)
	check("empty key", &APIKey{}, key)
	check("full sandbox", &Sandbox{ID: hostile, Template: hostile, Status: "", Metadata: []byte(`{"a":"}\\\"","b":{"c":[[]]}}`),
		StartedAt: ptr(at), DestroyedAt: ptr(at), CreatedAt: at, UpdatedAt: at}, box)
	check("empty sandbox", &Sandbox{Metadata: []byte(`{}`)}, box)
}

// TestCorruptRowsAreErrors truncates and changes stored rows. Reading them fails, or, since
// another byte may also be valid, succeeds; it never panics.
func TestCorruptRowsAreErrors(t *testing.T) {
	at := events.Time(0)
	u := &User{Email: hostile, AbuseFlags: flags{list: []events.Flag{{Name: "a", Value: []byte(`{"b":1}`)}}}}
	for name, c := range map[string]struct {
		good []byte
		read func(b []byte) error
	}{
		"user":    {u.appendJSON(nil), func(b []byte) error { _, err := readUser(b); return err }},
		"team":    {(&Team{}).appendJSON(nil), func(b []byte) error { _, err := readTeam(b); return err }},
		"day":     {(&UsageDay{UsageDate: "2026-01-01"}).appendJSON(nil), func(b []byte) error { _, err := readUsageDay(b); return err }},
		"key":     {(&APIKey{ExpiresAt: &at}).appendJSON(nil), func(b []byte) error { _, err := readAPIKey(b); return err }},
		"sandbox": {(&Sandbox{ID: hostile, Metadata: []byte(`{}`)}).appendJSON(nil), func(b []byte) error { _, err := readSandbox(b); return err }},
	} {
		for n := range len(c.good) - 1 {
			if n > 0 && c.read(c.good[:n]) == nil && !strings.HasSuffix(string(c.good[:n+1]), "}") {
				t.Errorf("%s: the first %d bytes were read as if they were all", name, n)
			}
		}
		for _, bad := range []string{"", "{", "}", "[]", "null", "{}", `{"id"}`, `{"id":}`, `{"id":1}`, `{"id":"x"}`, `"`, `{"a":"\"`} {
			if c.read([]byte(bad)) == nil {
				t.Errorf("%s: %q was read", name, bad)
			}
		}
	}
}

// TestCorruptAccountIsAnError loads accounts whose rows are corrupt: the event that needs
// them fails with the account's id, and changes nothing.
func TestCorruptAccountIsAnError(t *testing.T) {
	for name, row := range map[string]AccountRow{
		"user":      {User: []byte(`{`)},
		"team":      {Team: []byte(`[]`)},
		"usage":     {Usage: []byte(`{"team_id":"x"`)},
		"keys":      {Keys: []byte(`{}`)},
		"sandboxes": {Sandboxes: []byte(`{"id":"s"},{`)},
	} {
		row.ID, row.Position = events.UUID{1}, 5
		failed := false
		for _, m := range everyEvent(t) {
			m.Position = 6
			a := LoadAccount(&row)
			if _, err := a.Lookups(m); err != nil {
				failed = true
				continue
			}
			if out, err := a.Apply(m); err != nil && out != Parked {
				failed = true
				if !strings.Contains(err.Error(), row.ID.String()) {
					t.Errorf("%s: the error does not name the account: %v", name, err)
				}
				if a.Position() != 5 {
					t.Errorf("%s: the position moved to %d in spite of %v", name, a.Position(), err)
				}
			}
		}
		if !failed {
			t.Errorf("%s: no event found the row corrupt", name)
		}
	}
}

// everyEvent is one event of each type, decoded.
func everyEvent(t testing.TB) []*Decoded {
	t.Helper()
	id := `"01000000-0000-0000-0000-000000000000"`
	all := `{"id":` + id + `,"team_id":` + id + `,"owner_user_id":` + id + `,"email":"e","tier":"t","quota_tier_id":"q",` +
		`"is_operator":true,"flags":{"a":1,"b":null},"delete_scheduled_at":"2026-01-01T00:00:00Z","name":"n","slug":"s",` +
		`"usage_date":"2026-01-01","sandbox_creates":1,"gb_hours":1.5,"key_prefix":"p","scope":"s","template":"t",` +
		`"status":"s","metadata":{"m":1}}`
	var out []*Decoded
	for _, typ := range events.Types() {
		m := Message{Position: uint64(len(out) + 1), Message: events.Message{Subject: events.AccountSubject(events.UUID{1}),
			Data: []byte(`{"specversion":"1.0","id":"1","source":"/t","type":"` + typ + `","time":"2026-01-01T00:00:00Z","data":` + all + `}`)}}
		d, err := Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		if d.Invalid != nil && typ != events.TypeQuotaTierDefined {
			t.Fatalf("%s: %v", typ, d.Invalid)
		}
		out = append(out, &d)
	}
	return out
}
