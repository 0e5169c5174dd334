package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"accountexport/events"
)

// TestDifferencesAreShownSideBySide: a rebuild of which accounts differ is not cut over to
// unless what was shown of that is accepted. Samples show what is stored in both, each look
// at one is recorded, and masked they show nothing that people have made up.
func TestDifferencesAreShownSideBySide(t *testing.T) {
	t.Parallel()
	s := newStack(t, withRebuilds)
	all := s.accounts(t, 8)
	rebuilt := s.act(t, "rebuild", nil, http.StatusOK)
	if rebuilt.Failed != "" {
		t.Fatalf("the rebuild: %+v", rebuilt)
	}
	same, renamed, moved, gone := all[0], all[1], all[2], all[3]
	tamper := func(sql string, args ...any) {
		t.Helper()
		if tag, err := s.pool.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("%s: %v, %v", sql, tag, err)
		}
	}
	rename := `UPDATE export_g1.account_export SET digest_low = digest_low + 1, user_json = convert_to(replace(convert_from(user_json, 'UTF8'), '` + secret + `', 'DEFACED-of-a-person'), 'UTF8') WHERE account_id = $1`
	tamper(rename, renamed)
	tamper(`UPDATE export_g1.account_export SET digest_low = digest_low + 1, sandboxes_tail = convert_to('{"id":"other","template":"<b>x\u202e","metadata":{"ADVANCED":"MARKER"}}', 'UTF8') WHERE account_id = $1`, moved)
	tamper(`DELETE FROM export_g1.account_export WHERE account_id = $1`, gone)

	// Without accepting anything, nothing is cut over.
	refused := s.act(t, "cutover", map[string]string{"generation": "2", "confirm": "2"}, http.StatusOK)
	c := compared(t, refused)
	if refused.Failed == "" || c.Refused == "" || c.Different != 2 || c.New != 1 || c.in("user") != 1 || c.in("sandboxes") != 1 || len(c.Samples) != 3 {
		t.Fatalf("refused: %+v", refused)
	}
	for _, path := range []string{"/jobs/" + refused.ID, "/api/jobs/" + refused.ID, "/generations/2"} {
		s.leaksNothing(t, path)
	}

	at := "/generations/2/accounts/"
	var v comparedView
	s.getJSON(t, "/api"+at+renamed.String()+"?comparison="+refused.ID, &v)
	if len(v.Sections) != 1 || v.Sections[0].Name != "user" || len(v.Sections[0].Fields) != 2 || v.Sections[0].Fields[0].Field != "email" || v.Sections[0].Fields[1].Field != "name" || !v.Masked {
		t.Errorf("renamed: %+v", v)
	}
	if v.Before == "" && v.After == "" || v.Comparison != refused.ID {
		t.Errorf("the samples beside it: %+v", v)
	}
	for _, id := range []events.UUID{same, renamed, moved, gone} {
		s.leaksNothing(t, at+id.String())
		s.leaksNothing(t, "/api"+at+id.String())
	}
	if v := (comparedView{}); true {
		if s.getJSON(t, "/api"+at+same.String(), &v); len(v.Sections) != 0 || !v.Live.Found || !v.Other.Found {
			t.Errorf("the same: %+v", v)
		}
		if s.getJSON(t, "/api"+at+gone.String(), &v); v.Live.Found || !v.Other.Found || len(v.Sections) != 4 {
			t.Errorf("missing in the live one: %+v", v)
		}
	}
	var looks int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE who = 'tester' AND what = 'account.viewed' AND detail = 'comparison' AND account = $1`,
		renamed).Scan(&looks); err != nil || looks != 3 {
		t.Errorf("%d looks at it are recorded, want 3: %v", looks, err)
	}

	s.showsWhatIsStored(t, at, renamed, moved)
	s.differencesAreAccepted(t, refused.ID, rename, all[4], tamper)
}

// leaksNothing requires that a page holds nothing that people have made up.
func (s *stack) leaksNothing(t *testing.T, path string) {
	t.Helper()
	page := s.get(t, path, http.StatusOK)
	for _, word := range []string{"MARKER", "DEFACED", "ADVANCED"} {
		if strings.Contains(page, word) {
			t.Errorf("%s shows %s:\n%s", path, word, page)
		}
	}
}

// showsWhatIsStored compares what a console without masks shows with what is stored.
func (s *stack) showsWhatIsStored(t *testing.T, at string, renamed, moved events.UUID) {
	t.Helper()
	cfg := s.c.cfg
	cfg.Privacy = Full
	c, err := New(cfg) // of the same stream and read model
	if err != nil {
		t.Fatal(err)
	}
	c.target.Store(s.c.target.Load())
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	full := *s
	full.url = server.URL
	s = &full
	var v comparedView
	s.getJSON(t, "/api"+at+renamed.String(), &v)
	stored := func(schema string) (fields map[string]json.RawMessage) {
		var body []byte
		err := s.pool.QueryRow(t.Context(), `SELECT user_json FROM `+schema+`.account_export WHERE account_id = $1`, renamed).Scan(&body)
		if err == nil {
			err = json.Unmarshal(body, &fields)
		}
		if err != nil {
			t.Fatal(err)
		}
		return fields
	}
	live, other := stored("export_g1"), stored("export_g2")
	different := 0
	for name := range other {
		if !bytes.Equal(live[name], other[name]) {
			different++
		}
	}
	if len(v.Sections) != 1 || len(v.Sections[0].Fields) != different || different == 0 {
		t.Fatalf("%d fields differ: %+v", different, v)
	}
	for _, f := range v.Sections[0].Fields {
		if !bytes.Equal(f.Live, live[f.Field]) || !bytes.Equal(f.Other, other[f.Field]) {
			t.Errorf("%s is %s and %s, and stored is %s and %s", f.Field, f.Live, f.Other, live[f.Field], other[f.Field])
		}
	}
	page := s.get(t, at+moved.String(), http.StatusOK)
	if strings.Contains(page, "<b>x") || strings.Contains(page, "\u202e") || !strings.Contains(page, "not there") || !strings.Contains(page, `\u202e`) {
		t.Errorf("hostile text: %s", page)
	}
}

// differencesAreAccepted: what was not shown is not accepted, and neither is what differs by
// more than was; what was shown is.
func (s *stack) differencesAreAccepted(t *testing.T, seen, rename string, one events.UUID, tamper func(string, ...any)) {
	t.Helper()
	accept := map[string]string{"generation": "2", "confirm": "2", "accept": "yes"}
	s.act(t, "cutover", accept, http.StatusBadRequest)
	accept["comparison"] = seen
	tamper(rename, one)
	more := s.act(t, "cutover", accept, http.StatusOK)
	if more.Failed == "" || !strings.Contains(more.Failed, "accounts that differ: 3, and 2 were accepted") {
		t.Fatalf("by more than was accepted: %+v", more)
	}
	if page := s.get(t, "/jobs/"+more.ID, http.StatusOK); !strings.Contains(page, "Accept the differences") {
		t.Errorf("the differences cannot be accepted: %s", page)
	}
	accept["comparison"] = more.ID
	if v := s.act(t, "cutover", accept, http.StatusOK); v.Failed != "" {
		t.Errorf("accepted: %+v", v)
	}
	var lines int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE what = 'cutover' AND detail = 'generation 2, differences accepted' AND outcome = 'done'`).
		Scan(&lines); err != nil || lines != 1 {
		t.Errorf("%d lines of the audit have it as accepted: %v", lines, err)
	}
}
