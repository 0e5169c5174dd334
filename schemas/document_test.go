package schemas_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// exampleLines calls f with every line of a file of the contract's worked example.
func exampleLines(t *testing.T, name string, f func(line []byte)) {
	t.Helper()
	file, err := os.Open("../internal/oracle/testdata/example/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// exampleDocuments are the documents of the worked example.
func exampleDocuments(t *testing.T) (all []string) {
	t.Helper()
	exampleLines(t, "accounts.jsonl", func(line []byte) {
		var account struct{ Document *string }
		if err := json.Unmarshal(line, &account); err != nil {
			t.Fatal(err)
		}
		if account.Document != nil {
			all = append(all, *account.Document)
		}
	})
	if len(all) == 0 {
		t.Fatal("the worked example has no document")
	}
	return all
}

// randomDocuments are those of a random and hostile stream.
func randomDocuments(t *testing.T) (all []string) {
	t.Helper()
	g := workload.New(testrun.Seed(t), workload.Config{Accounts: 30, HostileShare: 0.3, LargeShare: 0.01})
	fold := projections.NewFold()
	for position := range testrun.AtLength(5000, 50_000) {
		m := g.Next()
		if _, _, err := fold.Apply(projections.Message{Position: uint64(position) + 1,
			Message: events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, account := range fold.Accounts() {
		doc, _, err := fold.Document(account)
		if err != nil {
			t.Fatal(err)
		}
		if len(doc) > 0 {
			all = append(all, string(doc))
		}
	}
	return all
}

// TestDocuments holds the documents of the worked example and of random streams
// against the schema, by two validators, and documents with one thing wrong, which
// both refuse.
func TestDocuments(t *testing.T) {
	t.Parallel()
	example := exampleDocuments(t)
	var texts []text
	for _, doc := range append(example, randomDocuments(t)...) {
		texts = append(texts, text{documentID, []byte(doc)})
	}
	sound := len(texts)
	wrong := [][2]string{{`"is_operator":false`, `"is_operator":null`}, {`"slug":`, `"slugs":`}, {`"abuse_flags":{`, `"abuse_flags":[],"x":{`},
		{`"user":{`, `"user":{"more":1,`}, {`"sandboxes":[`, `"sandboxes":[{},`}, {`"api_keys":[`, `"api_keys":[null,`},
		{`"tier":"`, `"tier":"` + strings.Repeat("x", 1024)}, {`"email":"`, `"email":"\u0000`}, {`"tier":"free"`, `"tier":""`},
		{`"created_at":"2026-03-25T`, `"created_at":"2026-02-30T`}, {`Z","updated_at"`, `+00:00","updated_at"`}, {`Z","updated_at"`, `.0Z","updated_at"`},
		{`"usage_date":"2026-01-`, `"usage_date":"2026-00-`}, {`"team_id":"`, `"team_id":"A`}, {`"sandbox_creates":`, `"sandbox_creates":-1,"x":`},
		{`"daily_sandbox_creates":`, `"daily_sandbox_creates":1.5,"x":`}, {`"gb_hours":`, `"gb_hours":"0.5","x":`}, {`"quota_tier":{"id":"`, `"quota_tier":{"id":"é`}}
	for _, w := range wrong {
		bad := strings.Replace(example[0], w[0], w[1], 1)
		if bad == example[0] {
			t.Errorf("the document has no %s", w[0])
		}
		texts = append(texts, text{documentID, []byte(bad)})
	}
	plain, formats := newAjv(t).accepts(t, texts)
	for i, x := range texts {
		err := inGo(t, x)
		if want := i < sound; (err == nil) != want || plain[i] != want || want && !formats[i] {
			t.Errorf("%.300s\nis to be accepted: %v; ajv: %v; with formats: %v; in Go: %v", x.json, want, plain[i], formats[i], err)
			if i >= sound {
				t.Log(wrong[i-sound])
			}
		}
	}
}

// TestExampleEvents holds the messages of the worked example against their schemas.
func TestExampleEvents(t *testing.T) {
	t.Parallel()
	known := 0
	exampleLines(t, "messages.jsonl", func(line []byte) {
		var m struct {
			Seq     int
			Subject string
			Headers map[string]json.RawMessage
			Payload []byte `json:"payload_b64"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		header := map[string][]string{}
		for name, raw := range m.Headers {
			var one string
			var several []string
			if err := json.Unmarshal(raw, &one); err == nil {
				several = []string{one}
			} else if err := json.Unmarshal(raw, &several); err != nil {
				t.Fatalf("message %d: header %s: %v", m.Seq, name, err)
			}
			header[name] = several
		}
		j := judge(t, events.Message{Subject: m.Subject, Header: header, Data: m.Payload})
		if !j.seen() {
			return
		}
		known++
		err := inGo(t, j.text)
		if wrong := j.expect(err == nil); wrong != "" {
			t.Errorf("message %d: %s: %v", m.Seq, wrong, err)
		}
	})
	if known < 100 {
		t.Errorf("only %d messages of known types", known)
	}
}
