package projections

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

// TestHistoryTellsFieldByField checks what each message has changed, and that applying all
// changes of an example account gives the entities of its document.
func TestHistoryTellsFieldByField(t *testing.T) {
	messages := readLines[exampleMessage](t, "testdata/example/messages.jsonl")
	histories := map[events.UUID]*History{}
	replayed := map[events.UUID]map[string]string{}
	outcomes := 0
	for _, m := range messages {
		to := events.ParseSubject(m.Subject)
		if to.Kind != events.SubjectAccount {
			continue
		}
		h := histories[to.Account]
		if h == nil {
			h = NewHistory(to.Account)
			histories[to.Account], replayed[to.Account] = h, map[string]string{}
		}
		e, err := h.Apply(m.message(t))
		if err != nil {
			t.Fatal(err)
		}
		if e.Outcome.String() != m.Outcome {
			t.Errorf("message %d: %s, want %s", m.Seq, e.Outcome, m.Outcome)
		}
		outcomes++
		if len(e.Changes) > 0 && e.Outcome != Applied {
			t.Errorf("message %d was %s and changed %v", m.Seq, e.Outcome, e.Changes)
		}
		for _, c := range e.Changes {
			at := fmt.Sprintf("%s[%s].%s", c.Entity, c.ID, c.Field)
			if got := replayed[to.Account][at]; got != string(c.From) {
				t.Errorf("message %d: %s was %s, history says %s", m.Seq, at, got, c.From)
			}
			replayed[to.Account][at] = string(c.To)
		}
	}
	for id, h := range histories {
		want := map[string]string{}
		now, err := h.account.entities()
		if err != nil {
			t.Fatal(err)
		}
		for p, b := range now {
			for _, f := range fieldsOf(b) {
				want[fmt.Sprintf("%s[%s].%s", p.entity, p.id, f.name)] = string(f.value)
			}
		}
		if diff := cmp.Diff(want, replayed[id]); diff != "" {
			t.Errorf("account %s (-state +replayed):\n%s", id, diff)
		}
	}
	if outcomes < 300 {
		t.Errorf("%d messages: the test tests little", outcomes)
	}
}
