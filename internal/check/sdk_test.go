package check

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"accountexport/events"
)

// sdkHints say for each way of calling an SDK what is said of its events, in structured
// and in binary mode; empty: they are accepted.
type sdkHints struct{ structured, binary string }

// TestJavaScriptSDK: what the CloudEvents SDK for JavaScript sends. testdata/sdk has how
// it was called.
func TestJavaScriptSDK(t *testing.T) {
	want := map[string]sdkHints{
		"good":                             {"", ""},
		"buffer":                           {"the bytes are a JSON object", ""},
		"uint8array":                       {"the bytes are a JSON object", ""},
		"stringified":                      {"made JSON twice", ""},
		"stringified without content type": {"made JSON twice", ""},
		"no data":                          {"SDKs leave data out", "the payload is empty"},
		"text content type":                {"set application/json as datacontenttype", "send application/json as Content-Type"},
		"octet stream":                     {"set application/json as datacontenttype", "send application/json as Content-Type"},
		"upper-case account":               {"lower case", "lower case"},
		"a bigint as text":                 {"between quotes", "between quotes"},
		"a sum of floats":                  {"more than six digits", "more than six digits"},
		"camel case":                       {"teamId", "teamId"},
		"undefined field":                  {"", ""}, // its own reason says it: found nothing
		"batch":                            {"a batch", ""},
	}
	f, err := os.Open("testdata/sdk/javascript.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]bool{}
	for in := bufio.NewScanner(f); in.Scan(); {
		var line struct {
			Name, How string
			Headers   map[string]string
			Payload   *string
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		hints, known := want[line.Name]
		if !known {
			t.Fatalf("what of %q?", line.Name)
		}
		seen[line.Name] = true
		m := events.Message{Subject: "controlplane.account." + someone, Header: map[string][]string{}}
		for name, v := range line.Headers {
			m.Header[name] = []string{v}
		}
		if line.Payload != nil {
			m.Data = []byte(*line.Payload)
		}
		hint := hints.structured
		if line.How == "binary" {
			hint = hints.binary
		}
		saysOfSDK(t, line.Name+", "+line.How, m, hint, line.Name == "undefined field")
		if line.How == "toString" { // as a file holds it, and `nats pub` sends it
			saysOfSDK(t, line.Name+", from a file", events.Message{Data: m.Data}, hint, line.Name == "undefined field")
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d of %d cases were there: %v", len(seen), len(want), seen)
	}
}

// TestGoSDK: what the CloudEvents SDK for Go writes.
func TestGoSDK(t *testing.T) {
	for name, tc := range map[string]struct {
		typ  string
		data func(e *event.Event) error
		hint string
	}{
		"an object": {"user.email_changed", func(e *event.Event) error {
			return e.SetData("application/json", map[string]string{"email": "a@example.org"})
		}, ""},
		"bytes": {"user.email_changed", func(e *event.Event) error {
			e.SetDataContentType("application/json")
			e.DataEncoded, e.DataBase64 = []byte(`{"email":"a@example.org"}`), true
			return nil
		}, "the bytes are a JSON object"},
		"bytes by SetData": {"user.email_changed", func(e *event.Event) error {
			return e.SetData("application/octet-stream", []byte(`{"email":"a@example.org"}`))
		}, "set application/json as datacontenttype"},
		"a text of JSON": {"user.email_changed", func(e *event.Event) error { return e.SetData("application/json", `{"email":"a@example.org"}`) }, "made JSON twice"},
		"another +json": {"user.email_changed", func(e *event.Event) error {
			return e.SetData("application/x+json", json.RawMessage(`{"email":"a@example.org"}`))
		}, "made JSON twice"},
		"no data": {"user.email_verified", func(*event.Event) error { return nil }, "SDKs leave data out"},
		"Go's names": {"team.owner_changed", func(e *event.Event) error {
			return e.SetData("application/json", struct{ ID, OwnerUserID string }{team, someone})
		}, "member ID"},
		"a float": {"quota_usage.recorded", func(e *event.Event) error {
			return e.SetData("application/json", map[string]any{"team_id": team, "usage_date": "2026-03-25", "sandbox_creates": 1e21, "gb_hours": 1})
		}, "floating-point"},
	} {
		e := event.New()
		e.SetID(name)
		e.SetSource("/go")
		e.SetType("controlplane." + tc.typ + ".v1")
		e.SetTime(time.Date(2026, 3, 25, 7, 11, 48, 0, time.UTC))
		e.SetExtension("partitionkey", someone)
		if err := tc.data(&e); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		saysOfSDK(t, name, events.Message{Data: b}, tc.hint, false)
	}
}

// saysOfSDK compares what is said of a message: this hint, or nothing and that it is
// accepted, unless it is parked for a reason that says all.
func saysOfSDK(t *testing.T, name string, m events.Message, hint string, parked bool) {
	t.Helper()
	in := string(m.Data)
	if m.Subject != "" {
		in = dumpLine(t, m)
	}
	v := checked(t, &Checker{}, in)[0]
	switch said := strings.Join(v.Hints, "|"); {
	case hint == "" && (said != "" || v.Bad() != parked):
		t.Errorf("%s: %s: %s, hints %q\n%s", name, v.Outcome, v.Reason, said, m.Data)
	case hint != "" && (!v.Bad() || !strings.Contains(said, hint)):
		t.Errorf("%s: %s: %s, hints %q, want %q\n%s", name, v.Outcome, v.Reason, said, hint, m.Data)
	}
}
