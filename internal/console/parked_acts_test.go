package console

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"accountexport/events"
)

// post asks for an act by a form, and gives the status and the answer of the JSON API.
func (s *stack) post(t *testing.T, name string, form url.Values) (int, string) {
	t.Helper()
	resp, err := http.PostForm(s.url+"/api/acts/"+name, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// dismissedNow are the positions that are dismissed.
func (s *stack) dismissedNow(t *testing.T) (n int) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.dismissals`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestActsOnParkedMessages: each does what was confirmed and nothing else, whoever is at it
// at the same time, and says what it has come to.
func TestActsOnParkedMessages(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	last := s.badDeploy(t, 20) // 200 parked
	text := url.Values{"reason": {"found a text"}, "note": {"one at a time"}}
	with := func(more ...string) url.Values {
		v := url.Values{}
		for name, values := range text {
			v[name] = values
		}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}

	t.Run("what is refused changes nothing", func(t *testing.T) {
		for _, c := range []struct {
			act    string
			form   url.Values
			status int
			says   string
		}{
			{"parked-dismiss", url.Values{"reason": {"found a text"}, "count": {"100"}}, 400, "note is missing"},
			{"parked-dismiss", with("note", strings.Repeat("x", 1001)), 400, "at most 1000 characters"},
			{"parked-dismiss", with("note", " \t"), 400, "note is missing"},
			{"parked-dismiss", with(), 409, "so many are confirmed"},
			{"parked-dismiss", with("count", "99"), 409, "99 messages confirmed, and this is of 100 by now"},
			{"parked-dismiss", with("count", "many"), 400, "the number of messages"},
			{"parked-dismiss", url.Values{"note": {"x"}, "count": {"200"}}, 400, "Which messages are meant is missing"},
			{"parked-dismiss", with("position", "2"), 400, "position and a filter are given"},
			{"parked-dismiss", with("from", "9", "to", "8"), 400, "nothing is between them"},
			{"parked-dismiss", with("account", "somebody"), 400, "the UUID of an account"},
			{"parked-dismiss", with("since", "yesterday"), 400, "how long ago"},
			{"parked-dismiss", with("reason", "no such reason"), 404, "No parked message is meant"},
			{"parked-undismiss", url.Values{"position": {"1"}, "note": {"x"}}, 404, "No message is parked at position 1"},
			{"parked-retry", url.Values{"position": {"0"}}, 400, "a position of the stream"},
			{"parked-undismiss", url.Values{"undo": {"nothing"}, "note": {"x"}}, 404, "not known any more"},
		} {
			if status, body := s.post(t, c.act, c.form); status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%s of %v: %d %s, want %d with %q", c.act, c.form, status, body, c.status, c.says)
			}
		}
		var lines int
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE what LIKE 'parked.%' AND what <> 'parked.viewed'`).Scan(&lines); err != nil || lines != 0 {
			t.Errorf("%d lines of what was refused: %v", lines, err)
		}
		if n := s.dismissedNow(t); n != 0 {
			t.Errorf("%d are dismissed", n)
		}
	})

	t.Run("what is parked after the page was shown is left out", func(t *testing.T) {
		page := "/parked/confirm/dismiss?reason=found+an+object"
		html := s.get(t, page, http.StatusOK)
		contains(t, html, fmt.Sprintf(`name="to" value="%d"`, last-1), `name="count" value="100"`)
		m, err := events.NewUserEmailChanged(meta("late"), parkedAccount(3), events.UserEmailChanged{Email: "WRONG"})
		m.Data = []byte(strings.Replace(string(m.Data), `"WRONG"`, `{"pw":"late"}`, 1))
		late := s.publish(t, m, err)
		s.act(t, "parked-dismiss", map[string]string{"reason": "found an object", "to": fmt.Sprint(last - 1), "count": "100", "note": "seen"}, http.StatusOK)
		if n := s.dismissedNow(t); n != 100 {
			t.Errorf("%d are dismissed, want 100", n)
		}
		contains(t, s.get(t, fmt.Sprintf("/parked/%d", late), http.StatusOK), `<span class="badge warn">counts</span>`)
	})

	t.Run("what takes an act back takes back nothing else", func(t *testing.T) {
		one := s.parkedJSON(t, "?reason=found+a+text").List[0].Position
		page := fmt.Sprintf("/parked/%d", one)
		s.submit(t, page, "parked-dismiss", map[string]string{"note": "by somebody before"})
		done := s.submit(t, "/parked/confirm/dismiss?reason=found+a+text", "parked-dismiss", map[string]string{"note": "all others"})
		contains(t, done, "99 of 201 parked messages are dismissed", "1 that is meant was dismissed already")
		undone := s.submit(t, undoPage(t, done), "parked-undismiss", map[string]string{"note": "too many"})
		contains(t, undone, "99 of 201 parked messages are no longer dismissed", "<h1>Have 99 messages count again</h1>")
		contains(t, s.get(t, page, http.StatusOK), `<span class="badge">dismissed</span>`, "by somebody before")
		again := s.submit(t, undoPage(t, undone), "parked-dismiss", map[string]string{"note": "not too many after all"})
		contains(t, again, "99 of 201 parked messages are dismissed", "<h1>Dismiss 99 messages</h1>")
		other := s.parkedJSON(t, "?reason=found+a+text").List[1].Position
		contains(t, s.get(t, fmt.Sprintf("/parked/%d", other), http.StatusOK), "all others", "too many", "not too many after all")
		s.submit(t, page, "parked-undismiss", map[string]string{"note": "one"})
	})

	t.Run("several at once", func(t *testing.T) {
		s.act(t, "parked-undismiss", map[string]string{"to": fmt.Sprint(1 << 40), "count": "201", "note": "from the beginning"}, http.StatusOK)
		var all sync.WaitGroup
		for i := range 8 {
			act := []string{"parked-dismiss", "parked-retry"}[i%2]
			all.Go(func() {
				form := with("count", "100", "note", fmt.Sprint("operator ", i))
				if status, body := s.post(t, act, form); status != 200 && status != 202 {
					t.Errorf("%s: %d %s", act, status, body)
				}
			})
		}
		all.Wait()
		s.allEnded(t)
		if n := s.dismissedNow(t); n != 100 {
			t.Errorf("%d are dismissed, want 100", n)
		}
		var wrong int
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export_g1.account_export a WHERE dismissed <> (SELECT count(*) FROM export_g1.parked p
JOIN export.dismissals d USING (position) WHERE p.account_id = a.account_id)`).Scan(&wrong); err != nil || wrong != 0 {
			t.Errorf("%d accounts count another number than are dismissed: %v", wrong, err)
		}
	})

	t.Run("different ones at once", func(t *testing.T) {
		s.act(t, "parked-undismiss", map[string]string{"to": fmt.Sprint(1 << 40), "count": "201", "note": "from the beginning"}, http.StatusOK)
		held, err := s.pool.Begin(t.Context()) // as a cut-over does, so that none ends before all have begun
		if err != nil {
			t.Fatal(err)
		}
		if _, err := held.Exec(t.Context(), `SELECT FROM export.generations FOR UPDATE`); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for _, reason := range []string{"found an object", "found a text"} {
			all.Go(func() {
				form := url.Values{"reason": {reason}, "count": {"101"}, "note": {"both"}}
				if status, body := s.post(t, "parked-dismiss", form); status != http.StatusAccepted {
					t.Errorf("%s: %d %s", reason, status, body)
				}
			})
		}
		all.Wait()
		if err := held.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.allEnded(t)
		if n := s.dismissedNow(t); n != 201 {
			t.Errorf("%d are dismissed, want all", n)
		}
	})

	t.Run("a retry", func(t *testing.T) {
		v := s.act(t, "parked-retry", map[string]string{"type": "user.registered.v1", "count": "80"}, http.StatusOK)
		if v.At != 20 || v.Of != 20 || v.Failed != "" || v.Title != "Retry 80 messages" {
			t.Errorf("a retry of 20 accounts: %+v", v)
		}
		page := s.submit(t, "/parked/confirm/retry?type=user.registered.v1", "parked-retry", nil)
		contains(t, page, "20 accounts refolded by projection version", "0 changed", "a newer one may")
		// An older program has parked what this one accepts.
		id := events.UUID{15: 9}
		m, err := events.NewUserRegistered(meta("ok"), id, events.UserRegistered{Email: "a@example.org", Tier: "free", QuotaTierID: "free"})
		s.publish(t, m, err)
		m, err = events.NewUserEmailChanged(meta("ok2"), id, events.UserEmailChanged{Email: "b@example.org"})
		at := s.publish(t, m, err)
		s.acceptedByNow(t, id, at, m.Data)
		one := fmt.Sprintf("/parked/%d", at)
		contains(t, s.get(t, one, http.StatusOK), "this program finds nothing wrong with it")
		contains(t, s.submit(t, one, "parked-retry", nil), "1 account refolded by projection version", "1 changed")
		contains(t, s.get(t, one, http.StatusNotFound), fmt.Sprintf("No message is parked at position %d", at), "/parked")
	})

	var looks int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE what = 'parked.viewed' AND who = 'tester' AND account IS NOT NULL
AND detail ~ '^position [0-9]+$'`).Scan(&looks); err != nil || looks < 4 {
		t.Errorf("%d looks at a message are recorded with whose it is: %v", looks, err)
	}
	var lines, detailed int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE detail ~ '^([0-9]+ messages?, positions [0-9]+ to [0-9]+|position [0-9]+)$')
FROM export.audit WHERE what LIKE 'parked.%' AND what <> 'parked.viewed'`).Scan(&lines, &detailed); err != nil || lines < 10 || detailed != lines {
		t.Errorf("%d lines of acts, %d of them with counts and positions alone: %v", lines, detailed, err)
	}
}

// TestParkedScreenThatOnlyReads: without rights there is no form for an act, each act is
// refused, and the commands are shown in full.
func TestParkedScreenThatOnlyReads(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.badDeploy(t, 2)
	v := s.parkedJSON(t, "")
	for _, page := range []string{"/parked", v.Groups[0].Link, "/parked/" + v.Figures.position(), "/parked/confirm/retry?reason=found"} {
		html := s.get(t, page, http.StatusOK)
		if strings.Contains(html, `method="post"`) {
			t.Errorf("%s has a form for an act", page)
		}
		contains(t, html, "projector console --allow-acts", "projector parked retry")
	}
	for _, act := range []string{"parked-retry", "parked-dismiss", "parked-undismiss"} {
		if status, body := s.post(t, act, url.Values{"position": {v.Figures.position()}, "note": {"x"}}); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", act, status, body)
		}
	}
	if n := s.dismissedNow(t); n != 0 {
		t.Errorf("%d are dismissed", n)
	}
}
