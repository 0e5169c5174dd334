package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"accountexport/internal/local/testrun"
	"accountexport/readmodel/admin"
)

// as asks in a user's name, as a proxy does, and gives the answer.
func (s *stack) as(ctx context.Context, user, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-User", user)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.c.ServeHTTP(w, r)
	return w
}

// recorded takes the lines of the audit away, and gives them, the oldest first.
func (s *stack) recorded(t *testing.T, p *person) (all []string) {
	t.Helper()
	err := admin.ListAudit(t.Context(), s.pool, admin.AuditFilter{}, 100, func(e admin.AuditEntry) error {
		line := e.Who + ": " + e.What
		if e.Account != nil && *e.Account == p.id {
			line += " of the account"
		}
		if e.Detail != "" {
			line += ", " + e.Detail
		}
		all = append(all, line+": "+e.Outcome)
		return nil
	})
	if err == nil {
		_, err = s.pool.Exec(t.Context(), `DELETE FROM export.audit`)
	}
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

// TestEachOfSeveralWhoLookIsOnRecord: who looks at what an act of another says of an
// account, by whatever path, has a line; so has who asks for an act that is running, and
// who follows what is parked without its page. Those who have asked have theirs already.
func TestEachOfSeveralWhoLookIsOnRecord(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) {
		c.AllowActs, c.UserHeader, c.Proxies = true, "X-User", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	p := newPerson(t, s)
	p.register()
	position := p.park()
	p.settled()
	requires := func(t *testing.T, want ...string) {
		t.Helper()
		if got := s.recorded(t, p); !slices.Equal(got, want) {
			t.Errorf("on record are\n%q, want\n%q", got, want)
		}
	}
	// follow follows a topic until something of it has come.
	follow := func(t *testing.T, user, topic string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan struct{})
		go func() { defer close(ended); s.as(ctx, user, http.MethodGet, "/events?topic="+topic, "") }()
		testrun.Eventually(t, "the topic is followed", func() bool {
			s.c.hub.mu.Lock()
			defer s.c.hub.mu.Unlock()
			return len(s.c.hub.viewers) > 0
		})
		cancel()
		<-ended
	}
	verify := fmt.Sprintf(`{"account":%q}`, p.id)

	id := actOf(s.as(t.Context(), "anna", http.MethodPost, "/api/acts/verify", verify).Body.Bytes())
	s.as(t.Context(), "anna", http.MethodGet, "/jobs/"+id, "")
	follow(t, "anna", "job:"+id)
	requires(t, "anna: account.verify of the account: done")
	for user, path := range map[string]string{"a page": "/jobs/", "its JSON": "/api/jobs/", "a banner": "/?job=", "a failure's": "/nowhere?job="} {
		for range 2 {
			if body := s.as(t.Context(), user, http.MethodGet, path+id, "").Body.String(); !strings.Contains(body, p.id.String()) {
				t.Errorf("%s shows nothing: %s", path, body)
			}
		}
		requires(t, user+": account.viewed of the account, by an act of another: done")
	}
	follow(t, "who follows", "job:"+id)
	requires(t, "who follows: account.viewed of the account, by an act of another: done")

	follow(t, "bert", "parked")
	follow(t, "bert", "parked")
	requires(t, "bert: parked.viewed, groups: done")
	s.as(t.Context(), "carl", http.MethodGet, "/parked", "")
	follow(t, "carl", "parked")
	requires(t, "carl: parked.viewed, groups: done")

	t.Run("one who joins", func(t *testing.T) {
		tx, err := s.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.Background()) }()
		if _, err := tx.Exec(t.Context(), `LOCK export.pause IN ACCESS EXCLUSIVE MODE`); err != nil {
			t.Fatal(err)
		}
		answers := make(chan string, 2)
		for _, user := range []string{"anna", "bert"} {
			go func() {
				answers <- actOf(s.as(t.Context(), user, http.MethodPost, "/api/acts/pause", `{"note":"why"}`).Body.Bytes())
			}()
			testrun.Eventually(t, "a line says so", func() (begun bool) {
				err := s.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM export.audit WHERE who = $1 AND outcome = 'begun')`, user).Scan(&begun)
				return err == nil && begun
			})
		}
		_ = tx.Rollback(t.Context())
		if a, b := <-answers, <-answers; a != b {
			t.Errorf("two acts, %s and %s", a, b)
		}
		testrun.Eventually(t, "both lines end", func() (ended bool) {
			err := s.pool.QueryRow(t.Context(), `SELECT NOT EXISTS (SELECT FROM export.audit WHERE outcome = 'begun')`).Scan(&ended)
			return err == nil && ended
		})
		requires(t, "anna: pause: done", "bert: pause, joined, as it was running: done")
		s.as(t.Context(), "anna", http.MethodPost, "/api/acts/resume", `{}`)
		s.recorded(t, p)
		for _, note := range []string{`a\u0000b`, strings.Repeat("x", mostNote+1)} {
			if w := s.as(t.Context(), "anna", http.MethodPost, "/api/acts/pause", `{"note":"`+note+`"}`); w.Code != http.StatusBadRequest {
				t.Errorf("a pause with a note that is none: %d, %s", w.Code, w.Body)
			}
		}
		requires(t) // what is refused before it begins
	})

	id = actOf(s.as(t.Context(), "anna", http.MethodPost, "/api/acts/parked-dismiss", fmt.Sprintf(`{"from":"%d","to":"%[1]d","note":"x"}`, position)).Body.Bytes())
	if w := s.as(t.Context(), "bert", http.MethodPost, "/api/acts/parked-undismiss", fmt.Sprintf(`{"undo":%q,"count":"0","note":"x"}`, id)); w.Code != http.StatusConflict {
		t.Errorf("more is undone than was confirmed: %d, %s", w.Code, w.Body)
	}
	s.as(t.Context(), "bert", http.MethodPost, "/api/acts/parked-undismiss", fmt.Sprintf(`{"undo":%q,"count":"1","note":"x"}`, id))
	at := fmt.Sprintf(", 1 message, positions %d to %[1]d: done", position)
	requires(t, "anna: parked.dismiss of the account"+at, "bert: parked.undismiss of the account"+at)
}
