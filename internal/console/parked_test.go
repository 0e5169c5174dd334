package console

import (
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func unescapeHTML(s string) string { return html.UnescapeString(s) }

// TestABadDeployIsSeenAndMended: what a bad deploy has parked is four groups, of which one
// is dismissed with a note and taken back, all without a script; each look and each act is
// in the audit; no page takes more than five statements, and none reads all accounts.
func TestABadDeployIsSeenAndMended(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	const accounts = 300
	s.badDeploy(t, accounts)

	v := s.parkedJSON(t, "")
	if len(v.Groups) != 4 || v.Figures.Messages != 10*accounts || v.Figures.Accounts != accounts || v.Figures.Dismissed != 0 {
		t.Fatalf("%d groups of %+v", len(v.Groups), v.Figures)
	}
	for i, want := range []struct {
		typ, found string
		n          int64
	}{{"user.email_changed.v1", "an object", 3}, {"user.email_changed.v1", "a text", 3}, {"user.registered.v1", "an object", 2}, {"user.registered.v1", "a text", 2}} {
		found := false
		for _, g := range v.Groups {
			found = found || g.Type == want.typ && strings.Contains(g.Reason, "found "+want.found) && g.Messages == want.n*accounts && g.Accounts == accounts
		}
		if !found {
			t.Errorf("group %d, %+v, is not in %+v", i, want, v.Groups)
		}
	}
	g := v.Groups[0]
	sum := uint32(0)
	for _, n := range g.Plot.Intervals {
		sum += n
	}
	if int64(sum) != g.Messages {
		t.Errorf("the plot of a group of %d has %d messages", g.Messages, sum)
	}

	t.Run("statements", func(t *testing.T) {
		position := "/parked/" + url.PathEscape(v.Figures.position())
		for _, path := range []string{"/parked", "/parked?view=list", g.Link, g.Link + "&after=100", position, strings.Replace(g.Link, "/parked?", "/parked/confirm/dismiss?", 1)} {
			s.c.parked.forget()
			if own := s.statementsOf(t, path); len(own) > 5 || len(own) < 3 {
				t.Errorf("%s takes %d statements: %q", path, len(own), own)
			} else if all := strings.Join(own, ""); readsAccounts(all) {
				t.Errorf("%s reads accounts: %s", path, all)
			}
		}
	})

	confirm := strings.Replace(g.Link, "/parked?", "/parked/confirm/dismiss?", 1)
	done := s.submit(t, confirm, "parked-dismiss", map[string]string{"note": "published again"})
	contains(t, done, "900 of 3000 parked messages are dismissed")
	if v := s.parkedJSON(t, ""); v.Figures.Dismissed != 900 || v.Figures.Counting != 2100 {
		t.Errorf("after that: %+v", v.Figures)
	}
	list := s.get(t, g.Link, http.StatusOK)
	contains(t, list, "dismissed: <bdi>published again</bdi>")
	undone := s.submit(t, undoPage(t, done), "parked-undismiss", map[string]string{"note": "it was another"})
	contains(t, undone, "900 of 3000 parked messages are no longer dismissed")
	if v := s.parkedJSON(t, ""); v.Figures.Dismissed != 0 {
		t.Errorf("after it was taken back: %+v", v.Figures)
	}
}

// position is the first position.
func (f *parkedFigures) position() string { return strconv.FormatUint(f.From, 10) }
