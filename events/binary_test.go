package events_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

// TestBinary shows what becomes of a structured event's members.
func TestBinary(t *testing.T) {
	m := structured("user.restored.v1", `{ "x": 1.0 }`)
	m.Data = append(m.Data[:len(m.Data)-1], `,"subject":null,"datacontenttype":"application/json; charset=utf-8",`+
		`"partitionkey":"64c38c41-1961-4698-82a7-af9eab79b005","text":"a \"é\" 100%41~","number":-7,"boolean":true}`...)
	got, err := m.Binary()
	if err != nil {
		t.Fatal(err)
	}
	want := events.Message{Subject: m.Subject, Data: []byte(`{ "x": 1.0 }`), Header: map[string][]string{
		"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-time": {"2026-03-25T07:10:47Z"},
		"ce-type": {"controlplane.user.restored.v1"}, "ce-partitionkey": {"64c38c41-1961-4698-82a7-af9eab79b005"},
		"Content-Type": {"application/json; charset=utf-8"},
		"ce-text":      {"a%20%22%C3%A9%22%20100%2541~"}, "ce-number": {"-7"}, "ce-boolean": {"true"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again, err := got.Binary(); err != nil || !cmp.Equal(got, again) {
		t.Errorf("made binary again: %v", err)
	}
}

// TestBinaryWithCloudEventsContentType: Content-Type would say structured.
func TestBinaryWithCloudEventsContentType(t *testing.T) {
	for _, contentType := range []string{"application/cloudevents+json", "Application/CloudEvents-batch+json; a=%41"} {
		m := structured("user.email_changed.v1", `{"email":"a@example.com"}`)
		m.Data = append(m.Data[:len(m.Data)-1], `,"datacontenttype":"`+contentType+`"}`...)
		binary, err := m.Binary()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decode(t, m), decode(t, binary)); diff != "" {
			t.Errorf("%s (-structured +binary):\n%s", contentType, diff)
		}
	}
}

func TestBinaryRefuses(t *testing.T) {
	base64 := structured("user.renamed.v9", `1`)
	base64.Data = append(base64.Data[:len(base64.Data)-1], `,"data_base64":"e30="}`...)
	broken := structured("user.restored.v1", `{`)
	for field, m := range map[string]events.Message{"data_base64": base64, "payload": broken} {
		_, err := m.Binary()
		var reason *events.Invalid
		if !errors.As(err, &reason) || reason.Field != field {
			t.Errorf("%v, want something about %s", err, field)
		}
	}
	if got := broken.EventID(); got != "" {
		t.Errorf("the id of a broken message is %q", got)
	}
}

// TestAddress finds the subject that a payload goes to.
func TestAddress(t *testing.T) {
	const account = "64c38c41-1961-4698-82a7-af9eab79b005"
	payload := func(typ, key, data string) []byte {
		return []byte(`{"specversion":"1.0","id":"1","source":"/s","time":"2026-03-25T07:10:47Z","type":"controlplane.` + typ +
			`","partitionkey":` + key + `,"data":` + data + `}`)
	}
	for _, test := range []struct {
		name    string
		payload []byte
		subject string // empty where it is refused
		field   string
	}{
		{"an account", payload("user.restored.v1", `"`+account+`"`, `{}`), "controlplane.account." + account, ""},
		{"an unknown type", payload("user.renamed.v9", `"`+account+`"`, `1`), "controlplane.account." + account, ""},
		{"a tier", payload("quota_tier.defined.v1", `"pro"`, `{"id":"pro","display_name":"P","max_concurrent_sandboxes":1,`+
			`"daily_sandbox_creates":1,"daily_gb_hours":1}`), "controlplane.quota_tier.pro", ""},
		{"no key", payload("user.restored.v1", `null`, `{}`), "", "partitionkey"},
		{"a key that is no account", payload("user.restored.v1", `"pro"`, `{}`), "", "subject"},
		{"bad data", payload("user.restored.v1", `"`+account+`"`, `[]`), "", "data"},
		{"no JSON", []byte(`{`), "", "payload"},
	} {
		m, err := events.Address(test.payload)
		var reason *events.Invalid
		switch {
		case test.field == "" && (err != nil || m.Subject != test.subject):
			t.Errorf("%s: %q, %v", test.name, m.Subject, err)
		case test.field != "" && (!errors.As(err, &reason) || reason.Field != test.field):
			t.Errorf("%s: %v, want something about %s", test.name, err, test.field)
		}
	}
}
