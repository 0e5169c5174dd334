package oracle

import (
	"strings"
	"testing"
)

const (
	accountID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	subject   = "controlplane.account." + accountID
	tierTopic = "controlplane.quota_tier.free"
)

func TestEnvelope(t *testing.T) {
	// sound is a structured event without its last brace, so that a case adds
	// members to it; the account's user does not exist, so it is deferred.
	const sound = `{"specversion":"1.0","id":"1","source":"/s","type":"controlplane.user.restored.v1","time":"2026-01-01T00:00:00Z"`
	with := func(more string) string { return sound + `,"data":{}` + more + `}` }
	without := func(old, now string) string { return strings.Replace(with(""), old, now, 1) }
	unknown := func(more string) string {
		return strings.Replace(sound, "user.restored.v1", "user.restored.v9", 1) + more + `}`
	}
	binary := func(change func(h map[string][]string)) map[string][]string {
		h := map[string][]string{"ce-specversion": {"1.0"}, "Ce-Id": {"%31"}, "CE-SOURCE": {"/s"},
			"ce-type": {"controlplane.user.restored.v1"}, "ce-time": {"2026-01-01T00:00:00Z"}, "Content-Type": {"application/json"}}
		if change != nil {
			change(h)
		}
		return h
	}
	set := func(name string, values ...string) func(map[string][]string) {
		return func(h map[string][]string) { h[name] = values }
	}
	cases := []struct {
		name    string
		header  map[string][]string
		data    string
		outcome Outcome
		label   string
	}{
		{"sound", nil, with(""), Deferred, "user.restored.v1"},
		{"content type in any case, with parameters", map[string][]string{"content-TYPE": {"Application/CloudEvents+JSON ; charset=x"},
			"ce-specversion": {"0.3"}}, with(""), Deferred, "user.restored.v1"},
		{"another content type", map[string][]string{"Content-Type": {"text/plain"}}, with(""), Deferred, "user.restored.v1"},
		{"batch", map[string][]string{"Content-Type": {"application/cloudevents-batch+json"}}, with(""), Parked, OtherType},
		{"no JSON", nil, "x", Parked, OtherType},
		{"no object", nil, "[]", Parked, OtherType},
		{"null is absent", nil, with(`,"partitionkey":null,"datacontenttype":null,"data_base64":null`), Deferred, "user.restored.v1"},
		{"a null required attribute", nil, without(`"id":"1"`, `"id":null`), Parked, OtherType},
		{"names are compared exactly", nil, without(`"id"`, `"ID"`), Parked, OtherType},
		{"a number as an attribute", nil, without(`"id":"1"`, `"id":1`), Parked, OtherType},
		{"an empty attribute", nil, without(`"/s"`, `""`), Parked, OtherType},
		{"a control character", nil, without(`"/s"`, `"\u0085"`), Parked, OtherType},
		{"a control character elsewhere", nil, with(`,"subject":"\u0000"`), Deferred, "user.restored.v1"},
		{"another version", nil, without(`"1.0"`, `"1.1"`), Parked, OtherType},
		{"an attribute twice", nil, with(`,"id":"1"`), Parked, OtherType},
		{"partitionkey", nil, with(`,"partitionkey":"` + accountID + `"`), Deferred, "user.restored.v1"},
		{"partitionkey in another case", nil, with(`,"partitionkey":"` + strings.ToUpper(accountID) + `"`), Parked, OtherType},
		{"datacontenttype", nil, with(`,"datacontenttype":"Text/VND.x+JSON; a=b"`), Deferred, "user.restored.v1"},
		{"datacontenttype with white space around it", nil, with(`,"datacontenttype":" a/json ; a=b"`), Deferred, "user.restored.v1"},
		{"datacontenttype with white space in it", nil, with(`,"datacontenttype":"a /json"`), Parked, "user.restored.v1"},
		{"datacontenttype of another format", nil, with(`,"datacontenttype":"text/plain"`), Parked, "user.restored.v1"},
		{"datacontenttype without a subtype", nil, with(`,"datacontenttype":"json"`), Parked, "user.restored.v1"},
		{"data_base64", nil, with(`,"data_base64":"e30="`), Parked, "user.restored.v1"},
		{"no data", nil, sound + `}`, Parked, "user.restored.v1"},
		{"null data", nil, sound + `,"data":null}`, Parked, "user.restored.v1"},
		{"unknown type", nil, unknown(``), Ignored, OtherType},
		{"unknown type, data not judged", nil, unknown(`,"data":7,"data_base64":"x","datacontenttype":5`), Ignored, OtherType},
		{"unknown type, attribute judged", nil, unknown(`,"partitionkey":"x"`), Parked, OtherType},
		{"unknown type, JSON judged", nil, unknown(`,"data":{"a":1,"a":1}`), Parked, OtherType},
		{"a prefix alone", nil, without("controlplane.user.restored.v1", "user.restored.v1"), Ignored, OtherType},

		{"binary", binary(nil), "{}", Deferred, "user.restored.v1"},
		{"binary, unknown type, payload not read", binary(set("ce-type", "x")), "\xff", Ignored, OtherType},
		{"binary, bad payload", binary(nil), "\xff", Parked, "user.restored.v1"},
		{"binary, no payload", binary(nil), "", Parked, "user.restored.v1"},
	}
	for _, c := range []struct {
		name    string
		change  func(map[string][]string)
		outcome Outcome
		label   string
	}{
		{"percent signs that start nothing", set("CE-SOURCE", "100%"), Deferred, "user.restored.v1"},
		{"percent-encoded type", set("ce-type", "controlplane%2Euser%2erestored.v1"), Deferred, "user.restored.v1"},
		{"decoded once", set("ce-type", "controlplane%252Euser.restored.v1"), Ignored, OtherType},
		{"no UTF-8", set("CE-SOURCE", "%ff"), Parked, OtherType},
		{"control character", set("CE-SOURCE", "a%00"), Parked, OtherType},
		{"two values", set("CE-SOURCE", "a", "a"), Parked, OtherType},
		{"two names", set("ce-source", "/s"), Parked, OtherType},
		{"empty", set("CE-SOURCE", ""), Parked, OtherType},
		{"an empty version is binary mode all the same", set("ce-specversion", ""), Parked, OtherType},
		{"a further header twice", set("ce-x", "%ff", "b"), Deferred, "user.restored.v1"},
		{"Content-Type is datacontenttype", set("Content-Type", "text/plain"), Parked, "user.restored.v1"},
		{"ce-datacontenttype comes first", func(h map[string][]string) {
			h["Content-Type"], h["ce-datacontenttype"] = []string{"text/plain"}, []string{"a/json"}
		}, Deferred, "user.restored.v1"},
		{"empty partitionkey", set("ce-partitionkey", ""), Parked, OtherType},
		{"structured all the same", set("Content-Type", "application/cloudevents+json"), Parked, OtherType},
	} {
		cases = append(cases, struct {
			name    string
			header  map[string][]string
			data    string
			outcome Outcome
			label   string
		}{"binary, " + c.name, binary(c.change), "{}", c.outcome, c.label})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := New()
			got := f.Apply(Message{Position: 9, Subject: subject, Header: c.header, Data: []byte(c.data)})
			if got.Outcome != c.outcome || got.Type != c.label {
				t.Errorf("%s, counted as %s (%s), want %s as %s", got.Outcome, got.Type, got.Reason, c.outcome, c.label)
			}
			if a := f.Account(accountID); a.State != Incomplete || a.Position != 9 {
				t.Errorf("account is %s at %d, want heard of at 9", a.State, a.Position)
			}
		})
	}
}

func TestSubjects(t *testing.T) {
	event := `{"specversion":"1.0","id":"1","source":"/s","type":"controlplane.user.restored.v1","time":"2026-01-01T00:00:00Z","data":{}}`
	for _, s := range []string{"controlplane.account." + strings.ToUpper(accountID), "controlplane.account.junk", "controlplane.Account." + accountID,
		"controlplane.quota_tier." + strings.Repeat("x", 65), "controlplane.quota_tier.a!", "other.account." + accountID, "controlplane.account.x." + accountID} {
		f := New()
		if r := f.Apply(Message{Position: 1, Subject: s, Data: []byte(event)}); r.Outcome != Parked || r.Type != "user.restored.v1" {
			t.Errorf("%s: %+v, want parked", s, r)
		}
		if p := f.ParkedMessages(); len(p) != 1 || p[0].Account != "" || len(f.Accounts()) != 0 {
			t.Errorf("%s: parked %+v, accounts %v, want one of no account", s, p, f.Accounts())
		}
	}
}
