package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/browser"
)

// hostileAccount has everything in it that a producer can say and that a page could take for its own.
const hostileAccount = "666c90c3-0d44-4b50-8888-8dd257360666"

// hostile is a text that would run, load something or close what is around it where a page
// took it for markup, and that turns round what is read, and hides a part of it.
func hostile(n int) string {
	return fmt.Sprintf("\u202e\u2066%d\u200b</title></textarea></script><script data-hostile>window.pwned=%[1]d</script>"+
		"<img data-hostile src=x onerror=window.pwned=%[1]d>\"'><svg data-hostile onload=window.pwned=%[1]d>`{{.}}`\ufeff", n)
}

// publishHostile publishes an account of such texts, as long as the contract lets each be,
// and messages that are parked: one of nearly a megabyte in one field, one with a reason
// that quotes it, some of unknown types and on mistyped subjects. It returns where the
// megabyte is.
func (s *system) publishHostile(t *testing.T) (megabyte uint64) {
	t.Helper()
	id := uuid(t, hostileAccount)
	long := func(n, most int) string { return hostile(n) + strings.Repeat("W", most-len([]rune(hostile(n)))) }
	ptr := func(s string) *string { return &s }
	n := 0
	publish := func(m events.Message, err error) uint64 { t.Helper(); return s.publishEvent(t, m, err) }
	meta := func() events.Meta {
		n++
		return events.Meta{ID: fmt.Sprintf("<b data-hostile>%d", n), Source: "/test", Time: newMeta("x").Time}
	}
	publish(events.NewUserRegistered(meta(), id, events.UserRegistered{Email: long(1, 1024), Tier: long(2, 1024), QuotaTierID: "free",
		Name: ptr(long(3, 1024)), DisplayName: ptr(hostile(4)), AvatarURL: ptr("javascript:window.pwned=5")}))
	publish(events.NewTeamCreated(meta(), id, events.TeamCreated{ID: id, Name: long(6, 1024), Slug: hostile(7), QuotaTierID: "free"}))
	publish(events.NewUserAbuseFlagsChanged(meta(), id, events.UserAbuseFlagsChanged{Flags: []events.Flag{{Name: hostile(8), Value: []byte(quoted(hostile(9)))}}}))
	sandbox := string([]rune(hostile(10))[:100])
	publish(events.NewSandboxCreated(meta(), id, events.SandboxCreated{ID: sandbox, Template: long(11, 1024), Status: ptr(long(12, 1024)),
		Metadata: []byte(`{` + quoted(hostile(13)) + `:` + quoted(strings.Repeat(hostile(14), 200)) + `}`)}))
	publish(events.NewSandboxStatusChanged(meta(), id, events.SandboxStatusChanged{ID: sandbox, Status: long(15, 1024)}))
	publish(events.NewAPIKeyCreated(meta(), id, events.APIKeyCreated{ID: id, TeamID: id, KeyPrefix: hostile(16), Name: long(17, 1024), Scope: hostile(18)}))

	m, err := events.NewUserEmailChanged(meta(), id, events.UserEmailChanged{Email: "WRONG"})
	wrong := func(with string) events.Message {
		changed := m
		changed.Data = []byte(strings.Replace(string(m.Data), `"WRONG"`, with, 1))
		return changed
	}
	publish(wrong(quoted(hostile(19)+strings.Repeat("<i>\u202e", 500))), err)
	publish(wrong(`{`+quoted(hostile(20))+`:{"<script>":[1]}}`), err)
	megabyte = publish(wrong(quoted(strings.ToValidUTF8(strings.Repeat(hostile(21), 6000)[:990_000], ""))), err)
	for _, change := range []string{`"type":"` + strings.Trim(quoted(hostile(22)), `"`) + `"`, `"id":` + quoted(hostile(23)), `"time":` + quoted(hostile(24))} {
		name, _, _ := strings.Cut(change, ":")
		var changed []string
		for _, part := range strings.Split(string(m.Data), ",") {
			if strings.Contains(part, name+":") {
				part = change
			}
			changed = append(changed, part)
		}
		publish(events.Message{Subject: m.Subject, Header: m.Header, Data: []byte(strings.Join(changed, ","))}, nil)
	}
	s.publishRaw(t, "controlplane.account."+hostileAccount, hostile(25))
	s.publishRaw(t, "controlplane.account.<script>pwned=26</script>", `{"data":`+quoted(hostile(26))+`}`)
	s.publishRaw(t, "controlplane.quota_tier.<img/data-hostile/src=x/onerror=pwned=27>", `<script data-hostile>window.pwned=27</script>`)
	return megabyte
}

// hostilePaths are addresses with such texts in them, and the pages of what was published.
func hostilePaths(megabyte uint64) []string {
	q := url.QueryEscape(hostile(30))
	return []string{"/accounts/" + hostileAccount, fmt.Sprint("/parked/", megabyte), "/parked?account=" + hostileAccount, "/accounts?id=" + q, "/accounts/" + url.PathEscape(hostile(31)),
		"/parked?reason=" + q, "/parked?type=" + q, "/parked/" + url.PathEscape(hostile(32)), "/erasures?account=" + q, "/audit?who=" + q, "/audit?account=" + q,
		"/audit?since=" + q, "/jobs/" + url.PathEscape(hostile(33)), "/generations/" + url.PathEscape(hostile(34)), "/" + url.PathEscape(hostile(35)), "/?job=" + q}
}

// harmless requires of the page that nothing of it was made by a hostile text, that nothing
// which it shows turns round what is read or cannot be seen, and that it is not as long as
// the longest field.
func (o *operator) harmless(t *testing.T, page string) {
	t.Helper()
	found := browser.Evaluate[struct {
		Pwned, Made, Hidden string
		Long                int
	}](t, o.Browser, `(() => {
  const own = (s) => s.src && new URL(s.src).origin === location.origin && new URL(s.src).pathname.startsWith("/assets/") && !s.textContent;
  const made = [...document.querySelectorAll("[data-hostile], img, iframe, object, embed, base, [onerror], [onload], [href^='javascript:' i]"),
    ...[...document.scripts].filter((s) => !own(s))];
  const shown = [document.title, document.body.innerText, ...[...document.querySelectorAll("[title], [aria-label]")].map((e) => e.title + e.ariaLabel)].join("\n");
  const hidden = shown.match(/.{0,20}[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff].{0,20}/u);
  return {Pwned: String(window.pwned ?? ""), Made: made.map((e) => e.outerHTML.slice(0, 200)).join("\n"), Hidden: hidden ? hidden[0] : "", Long: document.documentElement.outerHTML.length};
})()`)
	if found.Pwned != "" {
		t.Errorf("%s: text %s has run", page, found.Pwned)
	}
	if found.Made != "" {
		t.Errorf("%s: elements come of texts: %s", page, found.Made)
	}
	if found.Hidden != "" {
		t.Errorf("%s: it shows what cannot be seen: %+q", page, found.Hidden)
	}
	o.Show(t, phone)
	if pixels, what := o.Sideways(t); pixels > 0 {
		t.Errorf("%s: on a phone it scrolls sideways by %d px: %q", page, pixels, what)
	}
	o.Show(t, desk)
	if found.Long > 700_000 {
		t.Errorf("%s: it is %d characters long", page, found.Long)
	}
}
