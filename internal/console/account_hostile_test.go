package console

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"accountexport/events"
)

// What the hostile account's events hold.
const (
	tags   = `<script>alert(1)</script><img src=x onerror=alert(1)>"'` + "`"
	turned = "safe\u202etxt.exe\u2066\u0007\u200b"
)

// attack sends events with content that would do harm where it is taken for more than text.
func (p *person) attack() {
	p.t.Helper()
	p.register()
	p.send(events.NewUserProfileUpdated(p.meta(), p.id, events.UserProfileUpdated{Name: events.Some(tags), DisplayName: events.Some(turned), AvatarURL: events.Some(strings.Repeat("ä", 1024))}))
	p.send(events.NewSandboxCreated(p.meta(), p.id, events.SandboxCreated{ID: `"><b>` + turned, Template: tags,
		Metadata: fmt.Appendf(nil, `{"long":%q,"<i>":"<script>"}`, strings.Repeat("x", 60<<10))}))
	body := fmt.Sprintf(`{"specversion":"1.0","id":"h","source":"/test","type":%q,"time":"2026-03-01T10:00:00Z","data":{}}`, "<script>"+turned+strings.Repeat("y", 900<<10))
	p.send(events.Message{Subject: events.AccountSubject(p.id), Data: []byte(body)}, nil)
	bad := fmt.Sprintf(`{"specversion":"1.0","id":"h2","source":"/test","type":"controlplane.user.email_changed.v1","time":"2026-03-01T10:00:00Z","data":{"email":%q}}`,
		tags+strings.Repeat("z", 2000))
	p.send(events.Message{Subject: events.AccountSubject(p.id), Data: []byte(bad)}, nil)
}

// testHostile: markup, characters that turn the writing round, and long
// texts are shown as texts, cut, and break no page; whatever privacy.
func testHostile(t *testing.T, s *stack, p *person) {
	inHTML := regexp.MustCompile(`(?i)<script>|<img|<b>|<i>|style=|onerror="`)
	for path, answer := range p.every(t) {
		markup := answer
		if strings.HasPrefix(path, "/api") {
			var v struct {
				HTML    string
				Entries []struct{ HTML string }
			}
			if err := json.Unmarshal([]byte(answer), &v); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			markup = v.HTML
			for _, e := range v.Entries {
				markup += e.HTML
			}
		} else if strings.ContainsAny(markup, "\u202e\u2066\u0007\u200b") {
			t.Errorf("%s turns the writing round", path)
		}
		if found := inHTML.FindString(markup); found != "" {
			t.Errorf("%s has %q as markup", path, found)
		}
		if len(answer) > 300<<10 {
			t.Errorf("%s is %d bytes long", path, len(answer))
		}
	}
	page := s.get(t, p.path(), http.StatusOK)
	for _, want := range []string{"characters in all", `safe\u202etxt.exe`, "&lt;script&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	// A link to the field of a hostile id leads to it.
	link := regexp.MustCompile(`href="(/accounts/[^"]*field=sandboxes[^"]*)"`).FindStringSubmatch(page)
	if link == nil {
		t.Fatal("there is no link to a message that has set a sandbox's field")
	}
	u, err := url.Parse(html.UnescapeString(link[1]))
	if err != nil || !strings.HasSuffix(u.Query().Get("field"), `"><b>`+turned) {
		t.Errorf("the link: %v, %v", u, err)
	}
	s.get(t, u.RequestURI(), http.StatusOK)
}
