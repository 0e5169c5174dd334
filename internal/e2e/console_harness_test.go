package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/browser"
)

// How pages are looked at.
var (
	desk      = browser.Look{Width: 1280, Height: 800}
	deskDark  = browser.Look{Width: 1280, Height: 800, Dark: true}
	phone     = browser.Look{Width: 375, Height: 800}
	phoneDark = browser.Look{Width: 375, Height: 800, Dark: true}
)

// operator is a person before the console in a browser.
type operator struct {
	*browser.Browser
	*system
	url     string // without a slash at its end
	console *process
}

// startConsole starts a console of the system with more settings and flags, and returns its
// URL once it is connected.
func (s *system) startConsole(t testing.TB, more map[string]string, flags ...string) (url string, p *process) {
	t.Helper()
	settings := maps.Clone(s.settings)
	settings["CONSOLE_ADDR"] = "127.0.0.1:0"
	maps.Copy(settings, more)
	p = launchFile(t, s.projector(t), settings, append([]string{"console"}, flags...)...)
	served := regexp.MustCompile(`serving the console" address=(http://[^/]+)/`)
	eventually(t, "the console", time.Minute, func(context.Context) error {
		m := served.FindStringSubmatch(p.out.tail(1 << 20))
		if m == nil {
			return fmt.Errorf("it says %s", p.out.tail(400))
		}
		url = m[1]
		status, _, body, err := get(t.Context(), url+"/api/overview", "")
		if err == nil && status != 200 {
			err = fmt.Errorf("status %d: %.300s", status, body)
		}
		return err
	})
	return url, p
}

// atConsole starts a console, and seats somebody before it. Whatever test it is fails where
// a page asks another host for anything, throws, is refused by its policy, or opens a dialog.
func (s *system) atConsole(t *testing.T, more map[string]string, flags ...string) *operator {
	t.Helper()
	o := &operator{Browser: browser.New(t), system: s}
	o.url, o.console = s.startConsole(t, more, flags...)
	o.Show(t, desk)
	o.Strict(t, strings.TrimPrefix(o.url, "http://"))
	return o
}

// open opens a page of the console, and waits until it is there and its script has begun.
func (o *operator) open(t *testing.T, path string) {
	t.Helper()
	o.Open(t, o.url+path)
	o.ready(t)
}

func (o *operator) ready(t *testing.T) {
	t.Helper()
	o.Eventually(t, "a page of the console", `document.readyState === "complete" && !!document.body.dataset.screen`)
}

// sees waits until the page shows these texts.
func (o *operator) sees(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		o.Eventually(t, fmt.Sprintf("%q is shown", text), `document.body.innerText.includes(`+quoted(text)+`)`)
	}
}

// seesNot requires that the page does not show a text now.
func (o *operator) seesNot(t *testing.T, text string) {
	t.Helper()
	if browser.Evaluate[bool](t, o.Browser, `document.body.innerText.includes(`+quoted(text)+`)`) {
		t.Errorf("%q is shown", text)
	}
}

// located waits until the page's path, with its query, is as the pattern says, and returns it.
func (o *operator) located(t *testing.T, pattern string) string {
	t.Helper()
	o.Eventually(t, "the page "+pattern, `document.readyState === "complete" && !!document.body?.dataset.screen && new RegExp(`+quoted("^"+pattern+"$")+`).test(location.pathname + location.search)`)
	return browser.Evaluate[string](t, o.Browser, `location.pathname + location.search`)
}

// click clicks what has this name for its readers: a link, a button or what opens a part.
func (o *operator) click(t *testing.T, name string) {
	t.Helper()
	o.clickWithin(t, "body", name)
}

// clickWithin does so within the first element of a selector that has such.
func (o *operator) clickWithin(t *testing.T, selector, name string) {
	t.Helper()
	o.find(t, selector, name)
	at := browser.Evaluate[struct{ X, Y float64 }](t, o.Browser, `(() => { const e = window.found; e.scrollIntoView({block: "center"});
const r = e.getClientRects()[0]; return {X: r.left + r.width / 2, Y: r.top + r.height / 2}; })()`)
	o.ClickAt(t, at.X, at.Y)
}

// find waits for what has this name, and keeps it as window.found.
func (o *operator) find(t *testing.T, selector, name string) {
	t.Helper()
	o.Eventually(t, fmt.Sprintf("something named %q that can be clicked, within %s", name, selector), fmt.Sprintf(`(() => {
  const clean = (s) => (s || "").replace(/\s+/g, " ").trim(), want = %s;
  for (const part of document.querySelectorAll(%s))
    for (const e of part.querySelectorAll("a[href], button, summary, input[type=submit], input[type=checkbox], input[type=radio]"))
      if (!e.disabled && e.checkVisibility() && [e.getAttribute("aria-label"), e.innerText, e.value, e.labels?.[0]?.innerText].some((s) => clean(s) === want)) {
        window.found = e;
        return true;
      }
  return false;
})()`, quoted(name), quoted(selector)))
}

// fill writes into the field with this label what is typed.
func (o *operator) fill(t *testing.T, label, text string) {
	t.Helper()
	o.Eventually(t, fmt.Sprintf("a field labelled %q", label), fmt.Sprintf(`(() => {
  const clean = (s) => (s || "").replace(/\s+/g, " ").trim();
  for (const e of document.querySelectorAll("input:not([type=hidden]), textarea, select"))
    if (e.checkVisibility() && [e.getAttribute("aria-label"), ...[...(e.labels || [])].map((l) => l.innerText)].some((s) => clean(s).startsWith(%s))) {
      e.focus();
      e.select?.();
      return true;
    }
  return false;
})()`, quoted(label)))
	o.Press(t, text)
}

// shot writes a picture of the page for the documents, where SCREENSHOTS names their folder, which is below the
// repository unless it is absolute.
func (o *operator) shot(t *testing.T, name string, look browser.Look) {
	t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(repository(t), folder)
	}
	o.Show(t, look)
	browser.Evaluate[bool](t, o.Browser, `(document.activeElement?.blur(), document.fonts.ready.then(() => true))`)
	o.Screenshot(t, filepath.Join(folder, name+".png"))
	o.Show(t, desk)
}

// repository is the folder of the module.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// audited is how many lines of the audit there are of something that was done in the console.
func (o *operator) audited(t *testing.T, what, outcome string) (n int) {
	t.Helper()
	if err := o.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE through = 'console' AND what = $1 AND outcome = $2`, what, outcome).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// quoted is a text as JSON and as JavaScript, with its markup as it is.
func quoted(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err) // never: it is a text
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// tabTo presses Tab until the focus is on the element with this id.
func (o *operator) tabTo(t *testing.T, id string) {
	t.Helper()
	o.tabUntil(t, "#"+id, `document.activeElement.id === `+quoted(id))
}

// tabToNamed presses Tab until the focus is on what has this name for its readers.
func (o *operator) tabToNamed(t *testing.T, name string) {
	t.Helper()
	o.find(t, "body", name)
	o.tabUntil(t, name, `document.activeElement.innerText?.trim() === `+quoted(name))
}

func (o *operator) tabUntil(t *testing.T, what, holds string) {
	t.Helper()
	for range 200 {
		o.Press(t, browser.Tab)
		if browser.Evaluate[bool](t, o.Browser, holds) {
			return
		}
	}
	t.Fatalf("Tab does not reach %s", what)
}

// follows waits until the page has shown two later looks by itself.
func (o *operator) follows(t *testing.T) {
	t.Helper()
	const shown = `document.querySelector("#as-of time").dateTime`
	for range 2 {
		before := browser.Evaluate[string](t, o.Browser, shown)
		o.Eventually(t, "a later look", shown+` !== `+quoted(before))
	}
}
