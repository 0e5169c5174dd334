package events_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"accountexport/events"
)

// TestWorkedExample decodes the messages of the contract's worked example. The
// file gives each message's outcome; what can be judged from the message alone
// must agree with it. (No account of the sample is erased.)
func TestWorkedExample(t *testing.T) {
	text, err := os.ReadFile("../projections/testdata/example/messages.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	check := newRecheck()
	seen := map[verdict]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text))
	for lines.Scan() {
		var line struct {
			Seq     int               `json:"seq"`
			Subject string            `json:"subject"`
			Headers map[string]string `json:"headers"`
			Payload []byte            `json:"payload_b64"`
			Outcome string            `json:"outcome"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		m := events.Message{Subject: line.Subject, Header: map[string][]string{}, Data: line.Payload}
		for k, v := range line.Headers {
			m.Header[k] = []string{v}
		}
		e, _, err := events.Decode(m)
		got := verdictOf(e, err)
		seen[got]++
		// What needs the account's state: applied, deferred or duplicate, or
		// parked for another team or a sum past its limit.
		outcomes := []string{"applied", "deferred", "duplicate"}
		switch {
		case got == refused:
			outcomes = []string{"parked"}
		case got == ignored:
			outcomes = []string{"ignored"}
		case dependsOnTeam(e.Type):
			outcomes = append(outcomes, "parked")
		}
		if !slices.Contains(outcomes, line.Outcome) {
			t.Errorf("message %d: outcome %s, want one of %v: %v\n%s", line.Seq, line.Outcome, outcomes, err, m.Data)
		}
		if again, why := check.judge(m); again != got {
			t.Errorf("message %d: %s (%v), checked again %s (%v)\n%s", line.Seq, got, err, again, why, m.Data)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if seen[accepted] < 100 || seen[ignored] == 0 || seen[refused] == 0 {
		t.Errorf("too few to say anything: %v", seen)
	}
}

// dependsOnTeam tells whether an event can be parked for what came before it.
func dependsOnTeam(typ string) bool {
	return slices.Contains([]string{events.TypeTeamCreated, events.TypeTeamUpdated, events.TypeTeamOwnerChanged,
		events.TypeTeamQuotaTierChanged, events.TypeTeamSoftDeleted, events.TypeTeamRestored, events.TypeAPIKeyCreated,
		events.TypeQuotaUsageIncremented}, typ)
}
