package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Keys for [Browser.Press].
const (
	Tab   = kb.Tab
	Enter = kb.Enter
	Space = " "
	End   = kb.End
)

// Press presses keys, one after the other, where the focus is. Text is typed by it.
func (b *Browser) Press(t *testing.T, keys ...string) {
	t.Helper()
	b.Do(t, chromedp.KeyEvent(strings.Join(keys, "")))
}

// ClickAt clicks where that is in what is seen.
func (b *Browser) ClickAt(t *testing.T, x, y float64) {
	t.Helper()
	b.Do(t, chromedp.MouseClickXY(x, y))
}

// Walk is what a walk through a page by Tab has found. An element is named by what a reader
// of a failure finds it by.
type Walk struct {
	There   []string // what can be clicked, written to or scrolled, in the page's order
	Reached []string // what has got the focus
	Unseen  []string // what has had the focus without being marked, or outside of what is seen
}

// Missed are the elements that cannot be reached.
func (w Walk) Missed() (missed []string) {
	reached := map[string]bool{}
	for _, name := range w.Reached {
		reached[name] = true
	}
	for _, name := range w.There {
		if !reached[name] {
			missed = append(missed, name)
		}
	}
	return missed
}

// TabThrough presses Tab from the beginning of the page until the focus comes back to its
// first element. Where it never does, the test fails: the focus is caught somewhere.
func (b *Browser) TabThrough(t *testing.T) Walk {
	t.Helper()
	there := Evaluate[[]string](t, b, walkBegins)
	if len(there) == 0 {
		t.Fatal("nothing in the page can get the focus")
	}
	for pressed := 0; ; pressed += 10 {
		b.Press(t, strings.Repeat(Tab, 10))
		state := Evaluate[struct {
			Around          bool
			Reached, Unseen []string
		}](t, b, `window.walked()`)
		if state.Around {
			return Walk{there, state.Reached, state.Unseen}
		}
		if pressed > 6*len(there)+60 {
			t.Fatalf("the focus does not come around: the page has %q, and reached were %q", there, state.Reached)
		}
	}
}

// walkBegins notes what gets the focus. Blocks of a page that follows what happens are
// replaced meanwhile, so elements are known by what stays the same of them.
const walkBegins = `(() => {
  const name = (e) => {
    const tag = e.localName + (e.id ? "#" + e.id : "");
    if (e.id) return tag;
    for (const a of ["href", "name", "aria-label", "aria-labelledby", "action", "class"])
      if (e.getAttribute(a)) return tag + "[" + a + "=" + e.getAttribute(a).slice(0, 200) + "]" + (e.localName === "input" ? "=" + e.value.slice(0, 80) : "");
    return tag + ":" + e.textContent.trim().replace(/[0-9]+/g, "0").slice(0, 80);
  };
  const all = () => [...document.querySelectorAll("*")].filter((e) => {
    if (e.disabled || e.closest("[inert]") || !e.checkVisibility({visibilityProperty: true})) return false;
    if (e.localName === "input" && e.type === "hidden") return false;
    if (e.localName === "input" && e.type === "radio" && !e.checked &&
      document.querySelector("input[type=radio][name='" + CSS.escape(e.name) + "']:checked")) return false;
    if (e.matches("a[href], area[href], button, input, select, textarea, details > summary:first-of-type, audio[controls], video[controls], [contenteditable]")) return e.tabIndex >= 0 || e.localName !== "a";
    if (e.hasAttribute("tabindex") && e.tabIndex >= 0) return true;
    const s = getComputedStyle(e);
    const scrolls = (o, is, has) => /auto|scroll/.test(o) && is > has + 1;
    return e !== document.documentElement && e !== document.body && (scrolls(s.overflowX, e.scrollWidth, e.clientWidth) || scrolls(s.overflowY, e.scrollHeight, e.clientHeight));
  });
  const first = all()[0];
  const reached = [], unseen = [];
  let around = false;
  const see = (e) => {
    const s = getComputedStyle(e), r = e.getBoundingClientRect();
    const marked = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== "none";
    if (!marked) return "not marked";
    if (r.width === 0 || r.height === 0) return "without a size";
    if (r.bottom <= 0 || r.top >= innerHeight || r.right <= 0 || r.left >= innerWidth) return "outside of what is seen";
    return "";
  };
  if (window.walking) document.removeEventListener("focusin", window.walking);
  window.walking = (event) => {
    const e = event.target, is = name(e);
    if (is === name(first) && reached.length > 0) around = true;
    if (!reached.includes(is)) reached.push(is);
    const why = see(e);
    if (why) unseen.push(is + " (" + why + ")");
  };
  document.addEventListener("focusin", window.walking);
  window.walked = () => ({Around: around, Reached: reached, Unseen: [...new Set(unseen)]});
  if (document.activeElement) document.activeElement.blur();
  const beginning = document.createRange();
  beginning.setStart(document.body, 0);
  getSelection().removeAllRanges();
  getSelection().addRange(beginning); // from where the next Tab goes on
  window.scrollTo(0, 0);
  return [...new Set(all().map(name))];
})()`
