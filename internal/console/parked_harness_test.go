package console

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// marker is in every value that a bad deploy has sent, and in no id.
const marker = "hunter2"

// parkedAccount is one of a bad deploy's accounts.
func parkedAccount(i int) events.UUID {
	id, err := events.ParseUUID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1))
	if err != nil {
		panic(err) // it is one
	}
	return id
}

// badDeploy has accounts park ten messages each: five have an object in the place of an
// e-mail address, and five a text that is too long, of two types each.
func (s *stack) badDeploy(t *testing.T, accounts int) (last uint64) {
	t.Helper()
	const each = 10
	var all []events.Message
	add := func(m events.Message, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	long := strings.Repeat("x", 1100)
	for i := range accounts {
		id := parkedAccount(i)
		add(events.NewUserRegistered(meta(fmt.Sprint("r", i)), id, events.UserRegistered{Email: "before@example.org", Tier: "free", QuotaTierID: "free"}))
		for k := range each {
			at := meta(fmt.Sprint("p", i, "-", k))
			var m events.Message
			var err error
			if k < 4 {
				m, err = events.NewUserRegistered(at, id, events.UserRegistered{Email: "WRONG", Tier: "free", QuotaTierID: "free"})
			} else {
				m, err = events.NewUserEmailChanged(at, id, events.UserEmailChanged{Email: "WRONG"})
			}
			wrong := fmt.Sprintf(`{"pw":"%s-%d-%d"}`, marker, i, k)
			if k%2 == 1 {
				wrong = fmt.Sprintf(`"%s-%d-%d-%s"`, marker, i, k, long)
			}
			m.Data = []byte(strings.Replace(string(m.Data), `"WRONG"`, wrong, 1))
			add(m, err)
		}
	}
	i := 0
	if _, err := s.client.PublishAll(t.Context(), func() (events.Message, bool) {
		if i++; i > len(all) {
			return events.Message{}, false
		}
		return all[i-1], true
	}); err != nil {
		t.Fatal(err)
	}
	info, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.projected(t, info.Last)
	return info.Last
}

// acceptedByNow makes an account's messages look as an older program has left them: the
// one at the position is parked, although this program accepts it.
func (s *stack) acceptedByNow(t *testing.T, id events.UUID, position uint64, data []byte) {
	t.Helper()
	for _, change := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO export_g1.parked (position, partition, account_id, sent_at, subject, type, reason, headers, payload)
SELECT $2, partition, account_id, now(), 'controlplane.account.' || account_id, 'controlplane.user.email_changed.v1',
    'data.email: found "b@example.org", want something else', '', $3
FROM export_g1.account_export WHERE account_id = $1`, []any{[16]byte(id), int64(position), data}},
		{`UPDATE export_g1.account_export SET parked = parked + 1 WHERE account_id = $1`, []any{[16]byte(id)}},
	} {
		if tag, err := s.pool.Exec(t.Context(), change.sql, change.args...); err != nil || tag.RowsAffected() != 1 {
			t.Fatal(tag, err)
		}
	}
}

// allEnded waits until all acts have ended.
func (s *stack) allEnded(t *testing.T) {
	t.Helper()
	testrun.Eventually(t, "all acts have ended", func() bool {
		s.c.jobs.mu.Lock()
		defer s.c.jobs.mu.Unlock()
		for _, j := range s.c.jobs.all {
			if !j.over() {
				return false
			}
		}
		return true
	})
}

// parked gets the screen's JSON, by a query.
func (s *stack) parkedJSON(t *testing.T, query string) (v parkedView) {
	t.Helper()
	s.getJSON(t, "/api/parked"+query, &v)
	return v
}

// field is the value of an input of a form.
var fieldOf = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// submit sends the form that a page has for an act, with its hidden fields and what is
// filled in, as a browser without script does. It follows to the page that says what has
// become of it.
func (s *stack) submit(t *testing.T, page, act string, fill map[string]string) (body string) {
	t.Helper()
	html := s.get(t, page, http.StatusOK)
	_, form, found := strings.Cut(html, `action="/acts/`+act+`"`)
	if form, _, _ = strings.Cut(form, "</form>"); !found {
		t.Fatalf("%s has no form for %s:\n%s", page, act, html)
	}
	given := url.Values{}
	for _, m := range fieldOf.FindAllStringSubmatch(form, -1) {
		given.Set(m[1], unescapeHTML(m[2]))
	}
	for name, value := range fill {
		if !strings.Contains(form, `name="`+name+`"`) {
			t.Fatalf("the form for %s on %s has no field %s", act, page, name)
		}
		given.Set(name, value)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/acts/"+act, strings.NewReader(given.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Referer", s.url+page)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s on %s: status %d, %v:\n%s", act, page, resp.StatusCode, err, b)
	}
	at := resp.Request.URL.Path
	if strings.Contains(at, "/jobs/") {
		testrun.Eventually(t, act+" has ended", func() bool {
			body = s.get(t, at, http.StatusOK)
			return strings.Contains(body, `id="job-state">Done`) || strings.Contains(body, `id="job-state">Failed`)
		})
		return body
	}
	return string(b)
}

var jobForm = regexp.MustCompile(`name="undo" value="([a-z0-9]+)"`)

// undoPage is the page whose form takes an act back.
func undoPage(t *testing.T, body string) string {
	t.Helper()
	m := jobForm.FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("nothing takes it back: %s", body)
	}
	return "/jobs/" + m[1]
}

// contains requires each of the texts in a body.
func contains(t *testing.T, body string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(body, w) {
			t.Errorf("there is no %q in:\n%.6000s", w, body)
		}
	}
}
