package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"accountexport/events"
	"accountexport/internal/oracle"
	"accountexport/internal/workload"
)

// TestVerdictsAreTheProjectors: what is said of each message of a hostile stream is what
// an independent fold of the stream makes of it, in every form in which a message can be
// handed in.
func TestVerdictsAreTheProjectors(t *testing.T) {
	for seed := range uint64(2) {
		g := workload.New(4001+seed, workload.Config{Accounts: 6, HostileShare: 0.3, ErasureShare: 0.002})
		fold := oracle.New()
		var dump, mixed strings.Builder
		var want []oracle.Result
		forms := map[string]int{}
		for n := range 1500 {
			w := g.Next()
			m := events.Message{Subject: w.Subject, Header: w.Header, Data: w.Data}
			whole := dumpLine(t, m)
			if strings.Contains(whole, `\ufffd`) {
				whole = gottenLine(t, m) // JSON cannot hold what is no UTF-8 in a header, and base64 can
			}
			if whole == "" {
				continue // no form can hold it
			}
			want = append(want, fold.Apply(oracle.Message{Position: uint64(n + 1), Subject: w.Subject, Header: w.Header, Data: w.Data}))
			dump.WriteString(whole + "\x00")
			form := [](func(*testing.T, events.Message) string){dumpLine, gottenLine, importedLine}[n%3]
			line := form(t, m)
			if line == "" || n%3 == 0 {
				line = whole
			}
			if line != whole || n%3 == 0 {
				forms[fmt.Sprint(n%3)]++
			}
			mixed.WriteString(line + "\n")
		}
		if len(forms) != 3 {
			t.Errorf("seed %d: forms were %v", seed, forms)
		}
		for name, in := range map[string]string{"dump": dump.String(), "mixed": mixed.String()} {
			c := &Checker{}
			got := checked(t, c, in)
			if len(got) != len(want) {
				t.Fatalf("seed %d, %s: %d verdicts, want %d", seed, name, len(got), len(want))
			}
			bad := 0
			for i, w := range want {
				if got[i].Outcome != string(w.Outcome) {
					t.Errorf("seed %d, %s, event %d: %s (%s), want %s (%s)", seed, name, i, got[i].Outcome, got[i].Reason, w.Outcome, w.Reason)
				}
				if (got[i].Reason == "") != (w.Outcome == oracle.Applied) {
					t.Errorf("seed %d, %s, event %d: %s for %q", seed, name, i, w.Outcome, got[i].Reason)
				}
				if w.Outcome == oracle.Parked {
					bad++
				}
			}
			if c.Bad != bad || c.Events != len(want) || slices.Max(slices.Collect(maps.Values(c.Counts))) == len(want) {
				t.Errorf("seed %d, %s: %d of %d are bad, want %d of %d: %v", seed, name, c.Bad, c.Events, bad, len(want), c.Counts)
			}
		}
	}
}

// gottenLine is a message as `nats stream get --json` writes it, stored under a
// partition.
func gottenLine(t *testing.T, m events.Message) string {
	t.Helper()
	var hdrs []byte
	for name, values := range m.Header {
		for _, v := range values {
			if hdrs == nil {
				hdrs = []byte("NATS/1.0\r\n")
			}
			if v != strings.TrimSpace(v) || strings.ContainsAny(name+v, "\r\n") || strings.Contains(name, ":") {
				return "" // NATS would not carry it as it is
			}
			hdrs = fmt.Appendf(hdrs, "%s: %s\r\n", name, v)
		}
	}
	if hdrs != nil {
		hdrs = append(hdrs, "\r\n"...)
	}
	stored := strings.Replace(m.Subject, "controlplane.", "controlplane.11.", 1)
	if strings.Count(m.Subject, ".") != 2 {
		stored = m.Subject
	}
	b, err := json.MarshalIndent(map[string]any{"subject": stored, "seq": 7, "hdrs": hdrs, "data": m.Data, "time": "2026-03-25T07:11:48Z"}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// importedLine is a message as `projector import` takes it; empty where it refuses it.
func importedLine(t *testing.T, m events.Message) string {
	t.Helper()
	if kind, id, ok := strings.Cut(strings.TrimPrefix(m.Subject, "controlplane."), "."); !ok || strings.ContainsFunc(kind+id, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(".*>", c) }) || !strings.HasPrefix(m.Subject, "controlplane.") {
		return ""
	}
	for name, values := range m.Header {
		for _, v := range values {
			if v != strings.TrimSpace(v) || !utf8.ValidString(name+v) || strings.HasPrefix(name, "Nats-") || strings.ContainsAny(v, "\r\n\x00") {
				return ""
			}
		}
	}
	b, err := json.Marshal(map[string]any{"subject": m.Subject, "headers": m.Header, "data_base64": m.Data})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStructuredEventsAsTheyStand: without a subject, partitionkey names it, and the
// tier's id does for a tier.
func TestStructuredEventsAsTheyStand(t *testing.T) {
	tier := `{"specversion":"1.0","id":"q","source":"/s","type":"controlplane.quota_tier.defined.v1","time":"2026-03-25T07:11:48Z","data":{"id":"pro","display_name":"Pro","max_concurrent_sandboxes":1,"daily_sandbox_creates":1,"daily_gb_hours":1}}`
	in := strings.Join([]string{
		structuredEvent("1", "sandbox.started", `{"id":"s"}`),
		structuredEvent("2", "user.registered", `{"email":"a@example.org","tier":"free","quota_tier_id":"pro"}`),
		structuredEvent("3", "user.registered", `{"email":"a@example.org","tier":"free","quota_tier_id":"pro"}`),
		structuredEvent("4", "user.promoted", `{}`),
		structuredEvent("5", "user.email_changed", `{"email":7}`),
		tier,
		structuredEvent("6", "account.erased", `{}`),
		structuredEvent("7", "user.email_changed", `{"email":7}`),
		strings.Replace(structuredEvent("8", "user.email_changed", `{"email":"b@example.org"}`), `"partitionkey":"`+someone+`",`, "", 1),
		strings.Replace(structuredEvent("9", "user.email_changed", `{"email":7}`), `"partitionkey":"`+someone+`",`, "", 1),
		`{"subject":"orders.new","data":{}}`,
		strings.Replace(tier, `"id":"pro",`, ``, 1),
	}, "\n")
	want := []string{"deferred", "applied", "duplicate", "ignored", "parked", "applied", "applied", "ignored", "sound", "parked", "unreadable", "parked"}
	c := &Checker{}
	got := checked(t, c, in)
	for i, v := range got {
		if v.Outcome != want[i] || v.Line != int64(i+1) || v.File != "in" {
			t.Errorf("%+v, want %s", v, want[i])
		}
	}
	if v := got[4]; v.Field != "data.email" || v.Found != "a number" || !strings.HasPrefix(v.Want, "a text of 1 to 1024") || v.Reason != v.Field+": found "+v.Found+", want "+v.Want || v.Subject != "controlplane.account."+someone {
		t.Errorf("%+v", v)
	}
	if got[5].Subject != "controlplane.quota_tier.pro" || got[8].Subject != "" || got[0].Reason != "it would wait for its sandbox, which is not there yet" {
		t.Errorf("%+v\n%+v\n%+v", got[5], got[8], got[0])
	}
	if c.Accounts != 1 || c.Tiers != 1 || c.Events != 12 || c.Bad != 4 || got[11].Field != "data.id" {
		t.Errorf("%+v", c)
	}

	// Of one account: those that name none are its own.
	id, err := events.ParseUUID(someone)
	if err != nil {
		t.Fatal(err)
	}
	c = &Checker{Account: &id}
	got = checked(t, c, strings.ReplaceAll(in, `"id":"6"`, `"id":""`)+"\n"+strings.ReplaceAll(structuredEvent("10", "user.restored", "{}"), someone, team))
	if c.Others != 3 || len(got) != 10 || got[7].Outcome != "applied" || got[7].Subject != "controlplane.account."+someone {
		t.Errorf("%+v\n%+v", c, got)
	}
}

// TestNothingThatWasFoundIsShown: neither reasons nor hints hold anything of an event,
// unless values are asked for.
func TestNothingThatWasFoundIsShown(t *testing.T) {
	const secret = "hunter2"
	g := workload.New(77, workload.Config{Accounts: 3})
	shown := 0
	var in strings.Builder
	for _, typ := range []string{"user.registered", "team.created", "quota_usage.recorded", "api_key.created", "sandbox.created", "user.abuse_flags_changed", "api_key.updated"} {
		for _, data := range []string{`"hunter2"`, `["hunter2"]`, `{"hunter2":1,"hunter2":2}`, `{"id":"hunter2","email":{"x":"hunter2"},"team_id":"hunter2","flags":"hunter2"}`,
			`{"id":{"hunter2":1},"email":"a","tier":["hunter2"],"name":{"hunter2":true},"is_active":"hunter2"}`, `hunter2`} {
			in.WriteString(structuredEvent("x", typ, data) + "\n")
			in.WriteString(structuredEvent("x", typ, "{}", `"data_base64":"hunter2="`) + "\n")
			in.WriteString(strings.Replace(structuredEvent("x", typ, data), "2026-03-25T07:11:48Z", secret, 1) + "\n")
		}
	}
	for _, old := range []string{"controlplane.user.restored.v1", someone, `"specversion":"1.0"`} {
		in.WriteString(strings.Replace(strings.ReplaceAll(structuredEvent("x", "user.restored", "{}"), someone, "hunter2@example.org"), old, "hunter2\u0000", 1) + "\n")
		in.WriteString(strings.Replace(strings.ReplaceAll(structuredEvent("x", "quota_tier.defined", "{}"), someone, "hunter2@localhost"), "quota_tier.defined", "hunter2", 1) + "\n")
		in.WriteString(strings.ReplaceAll(structuredEvent("x", "quota_tier.defined", "{}"), someone, strings.Repeat("hunter2", 200)) + "\n")
	}
	in.WriteString(strings.Replace(structuredEvent("x", "hunter2", "{}"), `"1.0"`, `"2"`, 1) + "\n") // another field is wrong before the type is looked at
	in.WriteString(`{"Subject":"controlplane.account.hunter2@example.org","Data":"e30="}` + "\n")
	for _, line := range []string{`{"subject":"hunter2","data":{}}`, `{"subject":"controlplane.account.x","headers":{"hunter2":1},"data":{}}`, `{"subject":"controlplane.account.x","headers":{"a b hunter2":"hunter2"},"data":{}}`,
		`{"subject":"controlplane.account.x","data":{},"hunter2":1}`, `{"Subject":"hunter2","Data":"hunter2"}`, `{"subject":"hunter2","seq":1,"hdrs":"hunter2"}`, `{"hunter2":`, `hunter2`} {
		in.WriteString(line + "\n")
	}
	for range 300 {
		w := g.Next()
		in.WriteString(strings.ReplaceAll(string(w.Data), `":"`, `":"hunter2`) + "\n")
	}
	for _, v := range checked(t, &Checker{}, in.String()) {
		if !v.Bad() {
			v.Type = "" // of what is ignored it says which type nobody knows
		}
		if said := fmt.Sprint(v.Subject, v.Type, v.Reason, v.Field, v.Found, v.Want, v.Hints); strings.Contains(said, secret) {
			t.Errorf("line %d: %s", v.Line, said)
		}
	}
	for _, v := range checked(t, &Checker{Values: true}, in.String()) {
		if strings.Contains(fmt.Sprint(v.Reason, v.Found), secret) {
			shown++
		}
	}
	if shown < 50 {
		t.Errorf("%d are shown where they are asked for", shown)
	}
}
