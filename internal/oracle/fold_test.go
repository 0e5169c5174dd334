package oracle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	teamID  = "11111111-2222-4333-8444-555555555555"
	otherID = "99999999-2222-4333-8444-555555555555"
)

// script applies one message per line, "outcome at type data", to an account or a
// tier. Times are minutes of one hour.
func script(t *testing.T, f *Fold, lines ...string) {
	t.Helper()
	for _, line := range lines {
		part := strings.SplitN(line, " ", 4)
		on := subject
		if part[2] == "quota_tier.defined.v1" {
			on = tierTopic
		}
		data := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/s","type":"controlplane.%s","time":"2026-01-01T00:%s:00Z","data":%s}`,
			part[2], part[1], part[3])
		position := uint64(1)
		for _, totals := range f.Totals() {
			for _, n := range totals {
				position += uint64(n)
			}
		}
		if r := f.Apply(Message{Position: position, Subject: on, Data: []byte(data)}); string(r.Outcome) != part[0] {
			t.Fatalf("%s: %s %s", line, r.Outcome, r.Reason)
		}
	}
}

const (
	aTier = `applied 01 quota_tier.defined.v1 {"id":"free","display_name":"F","max_concurrent_sandboxes":1,"daily_sandbox_creates":2,"daily_gb_hours":1.50}`
	aUser = `applied 02 user.registered.v1 {"email":"e","tier":"t","quota_tier_id":"q"}`
	aTeam = `applied 03 team.created.v1 {"id":"` + teamID + `","name":"n","slug":"s","quota_tier_id":"free"}`

	ourTeam = `{"id":"` + teamID + `"}`
	aKey    = `api_key.created.v1 {"id":"` + otherID + `","team_id":"` + teamID + `","key_prefix":"p","name":"n","scope":"s"}`
	theKey  = `{"id":"` + otherID + `"}`
)

func usage(outcome, at, typ, date, creates, gbHours string) string {
	return outcome + " " + at + " quota_usage." + typ + `.v1 {"team_id":"` + teamID + `","usage_date":"` + date +
		`","sandbox_creates":` + creates + `,"gb_hours":` + gbHours + `}`
}

func TestCorners(t *testing.T) {
	base := []string{aTier, aUser, aTeam}
	cases := map[string]struct {
		script []string
		want   []string // parts of the document
	}{
		"new account": {nil, []string{`{"user":{"id":"` + accountID + `","email":"e","tier":"t","quota_tier_id":"q","is_operator":false,` +
			`"created_at":"2026-01-01T00:02:00Z","updated_at":"2026-01-01T00:02:00Z","name":null,"display_name":null,"avatar_url":null,` +
			`"email_verified_at":null,"soft_deleted_at":null,"delete_scheduled_at":null,"abuse_flags":{}},"team":{"id":"` + teamID +
			`","name":"n","slug":"s","owner_user_id":"` + accountID + `"`,
			`"quota_tier":{"id":"free","display_name":"F","max_concurrent_sandboxes":1,"daily_sandbox_creates":2,"daily_gb_hours":1.5},` +
				`"quota_usage":[],"api_keys":[],"sandboxes":[]}`}},
		"updated_at never moves back": {[]string{`applied 01 user.soft_deleted.v1 {}`},
			[]string{`"updated_at":"2026-01-01T00:02:00Z","name"`, `"soft_deleted_at":"2026-01-01T00:01:00Z","delete_scheduled_at"`}},
		"an empty patch still moves updated_at": {[]string{`applied 09 user.profile_updated.v1 {}`}, []string{`"updated_at":"2026-01-01T00:09:00Z","name"`}},
		"profile: null clears, empty is empty": {[]string{`applied 05 user.profile_updated.v1 {"name":"a","display_name":"b","avatar_url":"c"}`,
			`applied 06 user.profile_updated.v1 {"name":null,"display_name":""}`}, []string{`"name":null,"display_name":"","avatar_url":"c"`}},
		"flags keep their place": {[]string{`applied 05 user.abuse_flags_changed.v1 {"flags":{"a":1,"b": { "x" : 1.0 } }}`,
			`applied 06 user.abuse_flags_changed.v1 {"flags":{"c":null,"b":2,"\u0061":3}}`,
			`applied 07 user.abuse_flags_changed.v1 {"flags":{"a":null,"d":[ ]}}`,
			`applied 08 user.abuse_flags_changed.v1 {"flags":{"a":4}}`}, []string{`"abuse_flags":{"b":2,"d":[],"a":4}`}},
		"a new e-mail is unverified": {[]string{`applied 05 user.email_verified.v1 {}`, `applied 06 user.email_changed.v1 {"email":"f"}`},
			[]string{`"email":"f"`, `"email_verified_at":null`}},
		"restored": {[]string{`applied 05 user.soft_deleted.v1 {}`, `applied 05 user.deletion_scheduled.v1 {"delete_scheduled_at":"2026-02-01T00:00:00Z"}`,
			`applied 06 user.restored.v1 {}`}, []string{`"soft_deleted_at":null,"delete_scheduled_at":null`}},
		"last use is the latest": {[]string{"applied 05 " + aKey, "applied 08 api_key.used.v1 " + theKey, "applied 07 api_key.used.v1 " + theKey},
			[]string{`"last_used_at":"2026-01-01T00:08:00Z"`}},
		"a revoked key may become active": {[]string{"applied 05 " + aKey, "applied 08 api_key.revoked.v1 " + theKey,
			`applied 09 api_key.updated.v1 {"id":"` + strings.ToUpper(otherID) + `","is_active":true,"expires_at":null}`},
			[]string{`"is_active":true`, `"revoked_at":"2026-01-01T00:08:00Z"`}},
		"usage: exact sums, ordered days": {[]string{usage("applied", "05", "incremented", "2026-01-02", "1", "0.1"),
			usage("applied", "04", "incremented", "2026-01-02", "1", "0.200000"), usage("applied", "04", "recorded", "2026-01-01", "7", "10.0")},
			[]string{`[{"team_id":"` + teamID + `","usage_date":"2026-01-01","sandbox_creates":7,"gb_hours":10,"updated_at":"2026-01-01T00:04:00Z"},` +
				`{"team_id":"` + teamID + `","usage_date":"2026-01-02","sandbox_creates":2,"gb_hours":0.3,"updated_at":"2026-01-01T00:05:00Z"}]`}},
		"usage: a sum past the limit changes nothing": {[]string{usage("applied", "05", "recorded", "2026-01-02", "9007199254740991", "0.000001"),
			usage("parked", "06", "incremented", "2026-01-02", "1", "0"), usage("parked", "06", "incremented", "2026-01-02", "0", "999999999999.999999"),
			usage("applied", "05", "incremented", "2026-01-02", "0", "999999999999.999998")},
			[]string{`"sandbox_creates":9007199254740991,"gb_hours":999999999999.999999,"updated_at":"2026-01-01T00:05:00Z"`}},
		"a sandbox's life": {[]string{`deferred 09 sandbox.destroyed.v1 {"id":"x"}`, `deferred 07 sandbox.started.v1 {"id":"x"}`,
			`applied 05 sandbox.created.v1 {"id":"x","template":"t","metadata":{ "a\u0000" : 1e2 }}`},
			[]string{`"sandboxes":[{"id":"x","template":"t","status":"running","metadata":{"a\u0000":1e2},"started_at":"2026-01-01T00:07:00Z",` +
				`"destroyed_at":"2026-01-01T00:09:00Z","created_at":"2026-01-01T00:05:00Z","updated_at":"2026-01-01T00:09:00Z"}]`}},
		"an empty status": {[]string{`applied 05 sandbox.created.v1 {"id":"x","template":"t","status":"","metadata":null}`},
			[]string{`"status":"","metadata":{}`}},
		"a second creation": {[]string{`duplicate 05 user.registered.v1 {"email":"x","tier":"t","quota_tier_id":"q"}`,
			`parked 05 user.registered.v1 {"email":"","tier":"t","quota_tier_id":"q"}`, strings.Replace(aTeam, "applied", "duplicate", 1)},
			[]string{`"email":"e"`}},
		"other teams are parked": {[]string{`parked 05 team.created.v1 {"id":"` + otherID + `","name":"n","slug":"s","quota_tier_id":"free"}`,
			`parked 05 team.restored.v1 ` + theKey, `applied 06 team.soft_deleted.v1 ` + ourTeam, "applied 05 " + aKey,
			"parked 06 " + strings.Replace(aKey, teamID, accountID, 1), "duplicate 06 " + aKey}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := New()
			script(t, f, slices.Concat(base, c.script)...)
			document := string(f.Account(accountID).Document)
			for _, want := range c.want {
				if !strings.Contains(document, want) {
					t.Errorf("document %s\nwithout %s", document, want)
				}
			}
		})
	}
}

func TestTeamEventsWaitForTheirTeam(t *testing.T) {
	f := New()
	script(t, f, aTier, `deferred 04 team.updated.v1 {"id":"`+teamID+`","name":"waited"}`,
		`deferred 05 team.soft_deleted.v1 `+theKey, "applied 05 "+strings.Replace(aKey, teamID, accountID, 1), aUser, aTeam)
	a := f.Account(accountID)
	if a.State != Complete || a.Waiting != 1 || a.Parked != 0 || a.Position != 6 {
		t.Errorf("%+v: want complete at 6, the other team's event waiting on", a)
	}
	for _, want := range []string{`"name":"waited"`, `"updated_at":"2026-01-01T00:04:00Z","soft_deleted_at":null}`, `"team_id":"` + accountID + `"`} {
		if !strings.Contains(string(a.Document), want) {
			t.Errorf("document %s\nwithout %s", a.Document, want)
		}
	}
}

func TestTiersComeLateAndGo(t *testing.T) {
	f := New()
	script(t, f, aUser, aTeam)
	if a := f.Account(accountID); a.State != Incomplete || !slices.Equal(a.Missing, []string{"quota_tier"}) || a.Document != nil {
		t.Errorf("%+v: want the tier missing", a)
	}
	script(t, f, aTier, aTier, `parked 04 quota_tier.defined.v1 {"id":"free"}`)
	if a := f.Account(accountID); a.State != Complete || a.Position != 2 || a.TierPosition != 4 {
		t.Errorf("%+v: want complete at 2, tier at 4", a)
	}
	script(t, f, `applied 05 team.quota_tier_changed.v1 {"id":"`+teamID+`","quota_tier_id":"never"}`)
	if a := f.Account(accountID); a.State != Incomplete || a.Position != 6 || a.TierPosition != 0 {
		t.Errorf("%+v: want incomplete again", a)
	}
	if p := f.ParkedMessages(); len(p) != 1 || p[0].Account != "" || p[0].Position != 5 {
		t.Errorf("parked %+v, want the tier's, of no account", p)
	}
}

func TestErasureLeavesATombstone(t *testing.T) {
	f := New()
	script(t, f, aTier, aUser, aTeam, `parked 05 user.restored.v1 []`, `deferred 05 sandbox.started.v1 {"id":"x"}`)
	if a := f.Account(accountID); a.Parked != 1 || a.Waiting != 1 {
		t.Errorf("%+v: want one parked, one waiting", a)
	}
	script(t, f, `applied 07 account.erased.v1 {}`, strings.Replace(aUser, "applied", "ignored", 1), `ignored 09 junk.v1 []`,
		`ignored 09 account.erased.v1 {}`)
	a := f.Account(accountID)
	if a.State != Erased || a.Position != 6 || a.ErasedAt != "2026-01-01T00:07:00Z" || a.Parked != 0 || a.Waiting != 0 || a.Document != nil {
		t.Errorf("%+v: want a tombstone at 6", a)
	}
	if len(f.ParkedMessages()) != 0 || f.Totals()[OtherType][Ignored] != 3 || f.Account(otherID).State != NeverHeardOf {
		t.Errorf("parked %v, totals %v", f.ParkedMessages(), f.Totals())
	}
}

func TestWrongKindOfSubject(t *testing.T) {
	event := `{"specversion":"1.0","id":"1","source":"/s","type":"controlplane.%s","time":"2026-01-01T00:00:00Z","data":{}}`
	for typ, on := range map[string]string{"user.restored.v1": tierTopic, "quota_tier.defined.v1": subject, "account.erased.v1": tierTopic} {
		r := New().Apply(Message{Position: 1, Subject: on, Data: []byte(fmt.Sprintf(event, typ))})
		if r.Outcome != Parked || r.Type != typ || r.Reason != "type: not on this kind of subject" {
			t.Errorf("%s on %s: %+v", typ, on, r)
		}
	}
}
