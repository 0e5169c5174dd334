package console

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/local/testrun"
)

// TestWhoIsErasedElsewhereIsForgotten: an account that another program erases, while its
// page is open and acts about it are remembered, is gone from the console's memory after
// the next look: its history, who has looked, and acts that are about it or name it. What
// an act has changed of others can be undone still, and what is asked afterwards stays.
func TestWhoIsErasedElsewhereIsForgotten(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	gone, stays := newPerson(t, s), newPerson(t, s)
	gone.register()
	first := gone.park()
	stays.register()
	last := stays.park()
	stays.settled()
	id := gone.id.String()

	verified := s.act(t, "verify", map[string]string{"account": id}, http.StatusOK)
	kept := s.act(t, "verify", map[string]string{"account": stays.id.String()}, http.StatusOK)
	dismissed := s.act(t, "parked-dismiss", map[string]string{"from": at(first), "to": at(last), "count": "2", "note": "both"}, http.StatusOK)
	s.get(t, gone.path(), http.StatusOK)
	s.get(t, stays.path(), http.StatusOK)

	on, err := s.c.on()
	if err != nil {
		t.Fatal(err)
	}
	e := &acts.Eraser{Target: on, Account: gone.id, Takeover: 5 * time.Second}
	if _, err := e.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Preflight(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	testrun.Eventually(t, "the console's memory has forgotten the account", func() bool {
		s.get(t, "/", http.StatusOK) // has the next look come at once
		named := map[events.UUID]bool{}
		s.c.accounts.histories.named(named)
		s.c.accounts.looks.named(named)
		s.c.jobs.named(named)
		return !named[gone.id] && named[stays.id]
	})
	s.get(t, "/api/jobs/"+verified.ID, http.StatusNotFound)
	s.get(t, "/api/jobs/"+kept.ID, http.StatusOK)
	if page := s.get(t, "/jobs/"+dismissed.ID, http.StatusOK); !strings.Contains(page, "Have 1 message count again") {
		t.Errorf("what can be undone: %s", page)
	}
	if v := s.act(t, "parked-undismiss", map[string]string{"undo": dismissed.ID, "count": "1", "note": "one"}, http.StatusOK); v.Failed != "" || !strings.HasPrefix(v.Summary, "1 of ") {
		t.Errorf("undone: %+v", v)
	}
	plan := s.act(t, "erase-plan", map[string]string{"account": id}, http.StatusOK)
	if err := s.c.forgetErased(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.get(t, "/api/jobs/"+plan.ID, http.StatusOK)
}
