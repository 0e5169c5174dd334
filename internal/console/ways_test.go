package console

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"accountexport/events"
)

// TestWaysOn: no page is a dead end. What was refused is headed by why, and leads back to the
// form; a parked message leads to its place in the account's timeline; messages of which no
// type could be read can be told from all; and the page of what was paused offers to resume.
func TestWaysOn(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	p := newPerson(t, s)
	p.register()
	broken := p.send(events.Message{Subject: events.AccountSubject(p.id), Data: []byte(`[]`)}, nil)
	p.settled()

	t.Run("what was refused leads back", func(t *testing.T) {
		from := s.url + "/accounts/" + p.id.String() + "/erase"
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/acts/erase",
			strings.NewReader(url.Values{"account": {p.id.String()}, "confirm": {"no"}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Referer", from)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusBadRequest {
			t.Fatalf("%d %v", resp.StatusCode, err)
		}
		contains(t, string(page), "<title>Not confirmed · accountexport</title>", "<h1>Not confirmed</h1>", `<a href="/accounts/`+p.id.String()+`/erase">Back</a>`)
	})

	t.Run("a page below a screen is in its part of the navigation", func(t *testing.T) {
		contains(t, s.get(t, p.path(), http.StatusOK), `<a href="/accounts" aria-current="true">`)
		contains(t, s.get(t, "/generations/7", http.StatusNotFound), `<a href="/generations" aria-current="true">`)
	})

	t.Run("from a parked message to the timeline", func(t *testing.T) {
		way := fmt.Sprintf("%s?message=%d", p.path(), broken)
		contains(t, s.get(t, fmt.Sprintf("/parked/%d", broken), http.StatusOK), `href="`+way+`#timeline-part"`)
		contains(t, s.get(t, way, http.StatusOK), fmt.Sprintf(`<tr id="m%d"`, broken), `class="at" aria-current="true"`)
	})

	t.Run("messages without a type", func(t *testing.T) {
		page := s.get(t, p.path(), http.StatusOK)
		contains(t, page, `<option value="(none)">not readable (1)</option>`)
		var v timelineView
		s.getJSON(t, "/api"+p.path()+"/timeline?type=(none)", &v)
		if v.Of != 1 || v.All != 3 || v.Entries[0].Position != broken {
			t.Errorf("of all those without a type: %+v", v)
		}
		contains(t, s.get(t, p.path()+"?type=(none)", http.StatusOK), `<option value="(none)" selected>`, "1 of them selected")
	})

	t.Run("an act says whom it concerned, and not how far it was when it is done", func(t *testing.T) {
		v := s.act(t, "parked-retry", map[string]string{"position": fmt.Sprint(broken)}, http.StatusOK)
		page := s.get(t, "/jobs/"+v.ID, http.StatusOK)
		contains(t, page, `href="/accounts/`+p.id.String()+`"`, "1 account refolded")
		if strings.Contains(page, "<progress") {
			t.Errorf("what has ended has progress: %s", page)
		}
	})

	t.Run("a pause", func(t *testing.T) {
		const pause = `action="/acts/pause"`
		contains(t, s.get(t, "/", http.StatusOK), pause)
		s.act(t, "pause", nil, http.StatusOK)
		page := s.get(t, "/", http.StatusOK)
		contains(t, page, `action="/acts/resume"`)
		if strings.Contains(page, pause) {
			t.Error("what is paused can be paused")
		}
		s.act(t, "resume", nil, http.StatusOK)
	})
}
