package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"accountexport/internal/acts"
	"accountexport/internal/local/documents"
)

// TestEveryPathIsDocumented: doc/console.md has a row for each path below /api, and names
// each act.
func TestEveryPathIsDocumented(t *testing.T) {
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, d := range all {
		for line := range strings.Lines(d.Prose()) {
			if d.Path == "doc/console.md" && strings.HasPrefix(line, "| `") {
				rows.WriteString(line)
			}
		}
	}
	c, err := New(Config{Pool: noDatabase(t)})
	if err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`\{[^/]*\}`)
	documented := regexp.MustCompile("`(?:GET|POST) (/api/[^`?]*)")
	known := map[string]bool{}
	for _, m := range documented.FindAllStringSubmatch(rows.String(), -1) {
		known[regexp.MustCompile(`\b[A-Z]+\b`).ReplaceAllString(m[1], "{}")] = true
	}
	paths, served := 0, map[string]bool{}
	router, _ := c.routes().(*mux.Router)
	err = router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := r.GetPathTemplate()
		if err != nil || !strings.HasPrefix(path, "/api/") {
			return err
		}
		paths++
		path = variable.ReplaceAllString(path, "{}")
		if strings.HasPrefix(path, "/api/acts/") {
			path = "/api/acts/{}"
		}
		if !known[path] {
			t.Errorf("doc/console.md has no row for %s", path)
		}
		served[path] = true
		return nil
	})
	if err != nil || paths < 4 {
		t.Errorf("%d paths were looked at: %v", paths, err)
	}
	for path := range known {
		if !served[path] {
			t.Errorf("doc/console.md has a row for %s, which is not there", path)
		}
	}
	for _, a := range actions() {
		if !strings.Contains(rows.String(), "| `"+a.name+"` |") {
			t.Errorf("doc/console.md has no row for the act %s", a.name)
		}
	}
}

// TestAnActThatPanics has failed, in the audit as well, and the console goes on.
func TestAnActThatPanics(t *testing.T) {
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	r := httptest.NewRequest(http.MethodPost, "/acts/pause", nil)
	r = r.WithContext(context.WithValue(r.Context(), userKey{}, "Zoë"))
	j, err := s.c.begin(httptest.NewRecorder(), r, act{name: "pause", what: acts.Pause, prepare: func(*Console, url.Values) (*prepared, error) {
		return &prepared{title: "Panic", do: func(context.Context, *job) error { panic("a mistake") }}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	<-j.done
	if !errors.Is(j.err, errInside) {
		t.Errorf("it has ended with %v", j.err)
	}
	var who, outcome string
	if err := s.pool.QueryRow(t.Context(), `SELECT who, outcome FROM export.audit WHERE what = 'pause'`).Scan(&who, &outcome); err != nil || who != `Zo\u00eb` || outcome != "failed" {
		t.Errorf("in the audit it is by %s, with the outcome %q: %v", who, outcome, err)
	}
	if v := s.act(t, "resume", nil, http.StatusOK); v.Failed != "" {
		t.Errorf("the next act: %+v", v)
	}
}
