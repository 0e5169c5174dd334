package oracle

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// exampleLines calls f with every line of a file of the worked example.
func exampleLines(t *testing.T, name string, f func(line []byte)) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "example", name))
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

func TestWorkedExample(t *testing.T) {
	fold := New()
	messages := 0
	exampleLines(t, "messages.jsonl", func(line []byte) {
		var m struct {
			Seq     uint64
			Subject string
			Headers map[string]any
			Payload []byte `json:"payload_b64"`
			Outcome Outcome
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		header := map[string][]string{}
		for name, v := range m.Headers {
			switch v := v.(type) {
			case string:
				header[name] = []string{v}
			case []any:
				for _, one := range v {
					s, _ := one.(string)
					header[name] = append(header[name], s)
				}
			default:
				t.Fatalf("message %d: header %s holds %T", m.Seq, name, v)
			}
		}
		got := fold.Apply(Message{Position: m.Seq, Subject: m.Subject, Header: header, Data: m.Payload})
		if got.Outcome != m.Outcome {
			t.Errorf("message %d: %s (%s: %s), want %s", m.Seq, got.Outcome, got.Type, got.Reason, m.Outcome)
		}
		messages++
	})
	accounts := 0
	exampleLines(t, "accounts.jsonl", func(line []byte) {
		var want struct {
			Account  string
			State    State
			Position uint64
			Parked   int
			Document *string
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatal(err)
		}
		accounts++
		got := fold.Account(want.Account)
		if got.State != want.State || got.Position != want.Position || got.Parked != want.Parked {
			t.Errorf("account %s: %s at %d with %d parked, want %s at %d with %d", want.Account,
				got.State, got.Position, got.Parked, want.State, want.Position, want.Parked)
		}
		if want.Document == nil {
			if got.Document != nil {
				t.Errorf("account %s: a document, want none", want.Account)
			}
			return
		}
		if d := Diff([]byte(*want.Document), got.Document); d != "" {
			t.Errorf("account %s: %s", want.Account, d)
		}
	})
	if messages != 400 || accounts != len(fold.Accounts()) {
		t.Errorf("read %d messages and %d accounts, heard of %d", messages, accounts, len(fold.Accounts()))
	}
}
