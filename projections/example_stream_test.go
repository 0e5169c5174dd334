package projections

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

type exampleMessage struct {
	Seq     uint64
	Subject string
	Headers map[string]any
	Payload string `json:"payload_b64"`
	Outcome string
}

func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func (m exampleMessage) message(t testing.TB) Message {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	out := Message{Position: m.Seq, Message: events.Message{Subject: m.Subject, Data: data}}
	if m.Headers != nil {
		out.Header = map[string][]string{}
	}
	for k, v := range m.Headers {
		switch v := v.(type) {
		case string:
			out.Header[k] = []string{v}
		case []any:
			for _, s := range v {
				out.Header[k] = append(out.Header[k], s.(string))
			}
		}
	}
	return out
}

// TestExample folds the contract's worked example, and compares each outcome and document.
func TestExample(t *testing.T) {
	f := NewFold()
	for _, m := range readLines[exampleMessage](t, "testdata/example/messages.jsonl") {
		out, reason, err := f.Apply(m.message(t))
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != m.Outcome {
			t.Errorf("message %d: outcome %s (%v), want %s", m.Seq, out, reason, m.Outcome)
		}
	}
	accounts := readLines[struct {
		Account  events.UUID
		State    string
		Position uint64
		Parked   int
		Document *string
	}](t, "testdata/example/accounts.jsonl")
	if got := len(f.Accounts()); got != len(accounts) {
		t.Errorf("%d accounts, want %d", got, len(accounts))
	}
	for _, want := range accounts {
		a := f.Account(want.Account)
		if a == nil {
			t.Errorf("account %s was not heard of", want.Account)
			continue
		}
		doc, missing, err := f.Document(want.Account)
		if err != nil {
			t.Fatal(err)
		}
		state := a.State(missing)
		if state.String() != want.State || a.Position() != want.Position || a.Parked() != want.Parked {
			t.Errorf("account %s: %s at %d with %d parked, want %s at %d with %d", want.Account, state, a.Position(),
				a.Parked(), want.State, want.Position, want.Parked)
		}
		var wantDoc string
		if want.Document != nil {
			wantDoc = *want.Document
		}
		if diff := cmp.Diff(canonical(t, wantDoc), canonical(t, string(doc))); diff != "" {
			t.Errorf("account %s (-want +got):\n%s", want.Account, diff)
		}
	}
}

// canonical spells every string in the same way, and keeps everything else.
func canonical(t *testing.T, doc string) string {
	t.Helper()
	v := jsontext.Value(doc)
	if len(v) == 0 {
		return ""
	}
	if err := v.Format(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false),
		jsontext.PreserveRawStrings(false), jsontext.Multiline(true)); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	return string(v)
}
