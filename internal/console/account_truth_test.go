package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/projections"
)

// asShown is a JSON value as a console that shows everything has it, by rules of its own.
func asShown(raw []byte) string {
	switch {
	case raw == nil:
		return "nothing"
	case string(raw) == "null":
		return "null"
	case raw[0] == '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err.Error()
		}
		return text
	}
	return string(raw)
}

func (v shownValue) words() string {
	switch v.Kind {
	case kindNothing:
		return "nothing"
	case kindNull:
		return "null"
	}
	return v.Text
}

// testHistory: every message of an account, and before and after of each
// field, as projections.History has them; filters select, and pages are parts of it.
func testHistory(t *testing.T, s *stack, p *person) {
	t.Run("field by field", func(t *testing.T) {
		var want, got []string
		if _, err := acts.History(t.Context(), s.client, p.id, acts.AsOf{}, func(e projections.HistoryEntry) error {
			line := fmt.Sprintf("%d %s %s %s", e.Position, e.Time.UTC().Format(time.RFC3339Nano), e.Type, e.Outcome)
			if e.Reason != nil {
				line += " " + e.Reason.Error()
			}
			want = append(want, line)
			for _, c := range e.Changes {
				want = append(want, fmt.Sprintf("%s[%s].%s: %s → %s", c.Entity, c.ID, c.Field, asShown(c.From), asShown(c.To)))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var v timelineView
		s.getJSON(t, "/api"+p.path()+"/timeline", &v)
		for _, e := range v.Entries {
			line := fmt.Sprintf("%d %s %s %s", e.Position, e.Time.Format(time.RFC3339Nano), e.Type, e.Outcome)
			if e.Reason != "" {
				line += " " + e.Reason
			}
			got = append(got, line)
			for _, c := range e.Changes {
				got = append(got, fmt.Sprintf("%s[%s].%s: %s → %s", c.Entity, c.ID, c.Field, c.From.words(), c.To.words()))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) < 30 {
			t.Errorf("(-history +timeline):\n%s", diff)
		}
	})
	t.Run("filters and pages", func(t *testing.T) {
		ask := func(query string) (positions []uint64, v timelineView) {
			s.getJSON(t, "/api"+p.path()+"/timeline?"+query, &v)
			for _, e := range v.Entries {
				positions = append(positions, e.Position)
			}
			return positions, v
		}
		n := p.positions
		parked := n[10]
		for query, want := range map[string][]uint64{
			"limit=3":                   n[:3],
			"limit=3&first=5":           n[5:8],
			"limit=2&after=" + at(n[3]): n[4:6],
			"outcome=parked":            {parked},
			"type=controlplane.sandbox.created.v1&limit=1&first=1": {n[8]},
			"outcome=deferred&type=controlplane.team.created.v1":   nil,
			"limit=4&message=" + at(n[6]):                          n[5:9],
			"after=" + at(n[len(n)-1]):                             nil,
		} {
			if got, _ := ask(query); !cmp.Equal(got, want) {
				t.Errorf("%s: positions %v, want %v", query, got, want)
			}
		}
		if _, v := ask("outcome=applied"); v.All != len(n) || v.Of != len(n)-3 || v.First != n[0] || v.Last != n[len(n)-1] {
			t.Errorf("all %d, selected %d", v.All, v.Of)
		}
		for _, query := range []string{"first=-1", "limit=x", "after=0", "message=1e3"} {
			s.get(t, "/api"+p.path()+"/timeline?"+query, http.StatusBadRequest)
		}
	})
	t.Run("what comes meanwhile", func(t *testing.T) {
		more := p.send(events.NewUserOperatorChanged(p.meta(), p.id, events.UserOperatorChanged{IsOperator: true}))
		var v timelineView
		s.getJSON(t, "/api"+p.path()+"/timeline", &v)
		if v.Last != more || v.Entries[len(v.Entries)-1].Changes[0].Field != "is_operator" {
			t.Errorf("the last message is %d, want %d", v.Last, more)
		}
	})
	t.Run("the fields of the origin", func(t *testing.T) { testOrigins(t, s, p) })
	t.Run("the past", func(t *testing.T) { testPast(t, s, p) })
}

func at(position uint64) string { return fmt.Sprint(position) }

// testOrigins: the message that a field leads to is the last one by then that has changed
// it, for the document as it is and as it was after each message.
func testOrigins(t *testing.T, s *stack, p *person) {
	last := p.positions[len(p.positions)-1]
	s.projected(t, last)
	found := 0
	for _, upTo := range append(p.positions, 0) {
		want, here := map[string]uint64{}, map[string]bool{}
		if _, err := acts.History(t.Context(), s.client, p.id, acts.AsOf{Position: upTo}, func(e projections.HistoryEntry) error {
			clear(here)
			for _, c := range e.Changes {
				want[c.Entity+" "+c.ID+" "+c.Field], here[c.Entity+" "+c.ID+" "+c.Field] = e.Position, true
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var v accountView
		query := "?at=" + at(upTo)
		if upTo == 0 {
			query = ""
		}
		s.getJSON(t, "/api"+p.path()+query, &v)
		if v.Document == nil {
			continue
		}
		for _, section := range v.Document.Sections {
			for _, item := range section.Items {
				for _, f := range item.Fields {
					key := section.Name + " " + item.ID + " " + f.Name
					if f.Origin != want[key] {
						t.Errorf("at %d: %s leads to %d, want %d", upTo, key, f.Origin, want[key])
					}
					if upTo > 0 && f.Changed != here[key] {
						t.Errorf("at %d: %s is marked as changed: %t, want %t", upTo, key, f.Changed, here[key])
					}
					found++
				}
			}
		}
	}
	if found < 200 {
		t.Errorf("%d fields: the test tests little", found)
	}
}

// testPast: the document as it was is that of acts.DocumentAsOf, byte by byte of what is
// shown of it, and the one as it is is the stored one.
func testPast(t *testing.T, s *stack, p *person) {
	complete := 0
	for i, position := range p.positions {
		d, _, err := acts.DocumentAsOf(t.Context(), s.client, p.id, acts.AsOf{Position: position})
		if err != nil {
			t.Fatal(err)
		}
		var byIndex, byPosition pastView
		s.getJSON(t, fmt.Sprintf("/api%s/document?index=%d", p.path(), i), &byIndex)
		s.getJSON(t, fmt.Sprintf("/api%s/document?at=%d", p.path(), position), &byPosition)
		if diff := cmp.Diff(byIndex, byPosition); diff != "" {
			t.Errorf("by index and by position (-+):\n%s", diff)
		}
		if m := byIndex.Moment; m.Position != position || m.Index != i || m.State != d.State.String() || m.Of != len(p.positions) {
			t.Errorf("the moment after message %d: %+v", i, m)
		}
		if d.Body != nil {
			complete++
		}
		if diff := cmp.Diff(wordsOf(t, d.Body), byIndex.Document.words()); diff != "" {
			t.Errorf("at %d (-folded +shown):\n%s", position, diff)
		}
	}
	if complete < 5 {
		t.Errorf("complete at %d positions: the test tests little", complete)
	}
	d, _, err := acts.DocumentAsOf(t.Context(), s.client, p.id, acts.AsOf{})
	if err != nil {
		t.Fatal(err)
	}
	var v accountView
	s.getJSON(t, "/api"+p.path(), &v)
	if diff := cmp.Diff(wordsOf(t, d.Body), v.Document.words()); diff != "" {
		t.Errorf("now (-folded +shown):\n%s", diff)
	}
	page := s.get(t, fmt.Sprintf("%s?at=%d", p.path(), p.positions[2]), http.StatusOK)
	if !strings.Contains(page, `<dd><bdi>s3cret-other@example.org</bdi> <span class="badge">changed</span>`) {
		t.Errorf("what the message has changed is not marked:\n%s", page)
	}
}

// words are a document's fields, a line each.
func (v *documentView) words() (lines []string) {
	if v == nil {
		return nil
	}
	for _, s := range v.Sections {
		for _, item := range s.Items {
			for _, f := range item.Fields {
				lines = append(lines, s.Name+"."+f.Name+": "+f.Value.words())
			}
		}
	}
	return lines
}

// wordsOf reads the same out of a document.
func wordsOf(t *testing.T, body []byte) (lines []string) {
	t.Helper()
	if body == nil {
		return nil
	}
	var sections struct {
		User  json.RawMessage   `json:"user"`
		Team  json.RawMessage   `json:"team"`
		Tier  json.RawMessage   `json:"quota_tier"`
		Usage []json.RawMessage `json:"quota_usage"`
		Keys  []json.RawMessage `json:"api_keys"`
		Boxes []json.RawMessage `json:"sandboxes"`
	}
	if err := json.Unmarshal(body, &sections); err != nil {
		t.Fatal(err)
	}
	add := func(name string, item []byte) {
		d := json.NewDecoder(bytes.NewReader(item))
		_, _ = d.Token()
		for d.More() {
			field, _ := d.Token()
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s.%s: %s", name, field, asShown(raw)))
		}
	}
	add("user", sections.User)
	add("team", sections.Team)
	add("quota_tier", sections.Tier)
	for _, item := range sections.Usage {
		add("quota_usage", item)
	}
	for _, item := range sections.Keys {
		add("api_keys", item)
	}
	for _, item := range sections.Boxes {
		add("sandboxes", item)
	}
	return lines
}
