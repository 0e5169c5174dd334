package console

import (
	"net/http"
	"strings"
	"testing"

	"accountexport/events"
)

// TestOverviewFollowsTheReadModel: the page and its JSON show how far projecting is.
func TestOverviewFollowsTheReadModel(t *testing.T) {
	s := newStack(t)
	m, err := events.NewQuotaTierDefined(meta("1"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
	at := s.publish(t, m, err)
	var v overviewView
	for v.Position < at {
		s.getJSON(t, "/api/overview", &v)
	}
	if v.Lag != 0 || len(v.Partitions) != 16 {
		t.Errorf("overview: %+v", v)
	}
	if page := s.get(t, "/", http.StatusOK); !strings.Contains(page, "<h1>Overview</h1>") || !strings.Contains(page, "test-replica") {
		t.Errorf("the page: %s", page)
	}
}

// TestActsAreRefusedByTheServer: without AllowActs an act that is asked for past any button
// is refused, and changes nothing; with it, it is done and recorded.
func TestActsAreRefusedByTheServer(t *testing.T) {
	s := newStack(t)
	s.act(t, "pause", nil, http.StatusForbidden)
	s = newStack(t, func(c *Config) { c.AllowActs = true })
	if v := s.act(t, "pause", map[string]string{"note": "a test"}, http.StatusOK); v.Failed != "" || v.Summary == "" {
		t.Errorf("pausing: %+v", v)
	}
	for what, note := range map[string]string{"U+0000": "a\x00b", "length": strings.Repeat("x", mostNote+1)} {
		if v := s.act(t, "pause", map[string]string{"note": note}, http.StatusBadRequest); v.ID != "" {
			t.Errorf("pausing with a note of a wrong %s: %+v", what, v)
		}
	}
	if v := s.act(t, "resume", nil, http.StatusOK); v.Failed != "" || v.Summary != "Projecting goes on." {
		t.Errorf("resuming: %+v", v)
	}
	var lines int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE who = 'tester' AND through = 'console'
AND what IN ('pause', 'resume') AND outcome = 'done'`).Scan(&lines); err != nil || lines != 2 {
		t.Errorf("%d lines in the audit, want 2: %v", lines, err)
	}
}
