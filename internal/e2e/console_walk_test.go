package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"accountexport/internal/local/browser"
	"accountexport/internal/local/testrun"
)

// screensOf walks along the links of all pages, from the first one, and opens one page of
// each kind: those whose addresses differ in nothing but ids, positions and what is asked
// for. It calls each with every page that it has opened. A link that leads
// to a failure is one of the test; those of begin may.
func (o *operator) screensOf(t *testing.T, begin []string, each func(kind string)) (kinds []string) {
	t.Helper()
	seen, from := map[string]bool{}, map[string]string{}
	waiting := begin
	for len(waiting) > 0 {
		path := waiting[0]
		waiting = waiting[1:]
		kind := kindOf(path)
		if seen[kind] {
			continue
		}
		seen[kind] = true
		o.open(t, path)
		if failed := browser.Evaluate[string](t, o.Browser, `document.body.dataset.screen === "failure" ? document.body.innerText : ""`); failed != "" && from[path] != "" {
			t.Errorf("%s has a link to %s, which says %s", from[path], path, failed)
		}
		kinds = append(kinds, kind)
		each(kind)
		links := browser.Evaluate[[]string](t, o.Browser, `[...document.querySelectorAll("a[href]")].filter((a) => a.origin === location.origin && !a.hasAttribute("download"))
.map((a) => a.pathname + a.search)`)
		for _, link := range links {
			if !strings.HasPrefix(link, "/api/") && !strings.HasPrefix(link, "/assets/") {
				waiting = append(waiting, link)
				if from[link] == "" {
					from[link] = path
				}
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

var (
	idInPath   = regexp.MustCompile(`/([0-9]+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-z]{16})(/|$)`)
	queryValue = regexp.MustCompile(`=[^&]*`)
)

// kindOf is a page's address without ids and what is asked for.
func kindOf(address string) string {
	path, query, _ := strings.Cut(address, "?")
	path = idInPath.ReplaceAllString(path, "/*$2")
	if query == "" {
		return path
	}
	names := strings.Split(queryValue.ReplaceAllString(query, ""), "&")
	slices.Sort(names)
	return path + "?" + strings.Join(slices.Compact(names), "&")
}

// accessible requires of the page what every reader needs: axe-core finds nothing, it is
// not wider than what is seen, and a walk by Tab reaches everything. In the dark it is dark.
func (o *operator) accessible(t *testing.T, screen string) {
	t.Helper()
	looks := []browser.Look{desk, phoneDark}
	if testrun.Long() {
		looks = []browser.Look{desk, deskDark, phone, phoneDark}
	}
	for _, look := range looks {
		o.Show(t, look)
		as := fmt.Sprintf("%s, %d px wide, dark %t", screen, look.Width, look.Dark)
		for _, v := range o.Violations(t) {
			t.Errorf("%s: axe-core: %s", as, v)
		}
		if pixels, what := o.Sideways(t); pixels > 0 {
			t.Errorf("%s: it scrolls sideways by %d px: %q", as, pixels, what)
		}
		dark := browser.Evaluate[bool](t, o.Browser, `(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number); return r + g + b < 200; })()`)
		if dark != look.Dark {
			t.Errorf("%s: the ground is dark: %t", as, dark)
		}
	}
	o.Show(t, desk)
	walk := o.TabThrough(t)
	if missed := walk.Missed(); len(missed) > 0 {
		t.Errorf("%s: Tab does not reach %q; it has reached %q", screen, missed, walk.Reached)
	}
	if len(walk.Unseen) > 0 {
		t.Errorf("%s: the focus cannot be seen on %q", screen, walk.Unseen)
	}
}

// skips requires that the first thing that Tab reaches leads past the navigation.
func (o *operator) skips(t *testing.T) {
	t.Helper()
	o.open(t, "/")
	o.Press(t, browser.Tab)
	if name := browser.Evaluate[string](t, o.Browser, `document.activeElement.innerText`); name != "Skip to the content" {
		t.Errorf("Tab reaches %q first", name)
	}
	o.Press(t, browser.Enter)
	o.Eventually(t, "the focus on the content", `document.activeElement.localName === "main"`)
	o.Press(t, browser.Tab)
	if !browser.Evaluate[bool](t, o.Browser, `document.activeElement === document.body || !!document.activeElement.closest("main, footer")`) {
		t.Errorf("after that Tab reaches %s", browser.Evaluate[string](t, o.Browser, `document.activeElement.outerHTML`))
	}
}
