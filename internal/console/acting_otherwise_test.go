package console

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"accountexport/internal/acts"
)

// TestAnActAskedForOtherwise: who asks for what runs already is told of that, and who asks
// for something else that cannot be done beside it is refused, and told by whom it was asked.
// What the console refuses while it acts has changed nothing, and the audit says so.
func TestAnActAskedForOtherwise(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	ends := make(chan struct{})
	a := act{name: "copy", what: acts.Rebuild, prepare: func(*Console, url.Values) (*prepared, error) {
		return &prepared{title: "Copy", do: func(context.Context, *job) error {
			<-ends
			return conflict("Nothing was copied", "It is there.")
		}}, nil
	}}
	ask := func(user, form string) (*job, error) {
		r := httptest.NewRequest(http.MethodPost, "/acts/copy", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return s.c.begin(httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), userKey{}, user)), a)
	}
	first, err := ask("ann", "to=X&note=now")
	if err != nil {
		t.Fatal(err)
	}
	if same, err := ask("bob", "note=later&to=X"); err != nil || same != first {
		t.Errorf("the same for another reason: %v, %v", same, err)
	}
	var f *failure
	if _, err := ask("bob", "to=Y"); !errors.As(err, &f) || f.Status != http.StatusConflict || !strings.Contains(f.Detail, "asked for by ann") || !strings.Contains(f.Detail, first.ID) {
		t.Errorf("to another one: %v", err)
	}
	close(ends)
	<-first.done
	s.c.jobs.wait()
	var lines, refused int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE outcome = 'refused') FROM export.audit WHERE what = 'rebuild'`).Scan(&lines, &refused); err != nil || lines != 2 || refused != 2 {
		t.Errorf("%d lines, %d of them refused: %v", lines, refused, err)
	}
}
