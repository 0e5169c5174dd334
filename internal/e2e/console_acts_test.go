package e2e

import (
	"testing"

	"accountexport/internal/local/browser"
)

// pausesByKeyboard pauses and resumes projecting without a pointer: Tab leads to the field,
// what is typed stays while the page follows what happens, and Enter and Space press buttons.
func (o *operator) pausesByKeyboard(t *testing.T) {
	t.Helper()
	o.open(t, "/")
	o.tabTo(t, "pause-note")
	o.Press(t, "before")
	o.follows(t)
	o.Press(t, " <b>the</b> move")
	if note := browser.Evaluate[string](t, o.Browser, `document.activeElement.value`); note != "before <b>the</b> move" {
		t.Errorf("after the page has changed the field has %q", note)
	}
	o.Press(t, browser.Tab, browser.Enter)
	o.sees(t, "Projecting is paused", "before <b>the</b> move")
	if note := o.pauseNote(t); note != "before <b>the</b> move" {
		t.Fatalf("the pause's note is %q", note)
	}
	o.tabToNamed(t, "Resume projecting")
	o.Press(t, browser.Space)
	o.sees(t, "Projecting goes on")
	if note := o.pauseNote(t); note != "" {
		t.Errorf("there still is a pause, with the note %q", note)
	}
	if n, m := o.audited(t, "pause", "done"), o.audited(t, "resume", "done"); n != 1 || m != 1 {
		t.Errorf("the audit has %d pauses and %d resumptions", n, m)
	}
}

// pauseNote is the note of the pause; empty where there is none.
func (o *operator) pauseNote(t *testing.T) (note string) {
	t.Helper()
	if err := o.pool.QueryRow(t.Context(), `SELECT coalesce((SELECT note FROM export.pause), '')`).Scan(&note); err != nil {
		t.Fatal(err)
	}
	return note
}

// keepsWhatIsWritten: where a block of a page changes while somebody writes in it, what was
// written stays, and so do the focus and where a table was scrolled to. The page follows a
// source of the test's here, which tells of a change when it is asked to.
func (o *operator) keepsWhatIsWritten(t *testing.T) {
	t.Helper()
	o.Show(t, phone)
	defer o.Show(t, desk)
	o.open(t, "/")
	o.tabTo(t, "pause-note")
	o.Press(t, "half a no")
	kept := browser.Evaluate[struct {
		Changed, Focus bool
		Note           string
		Left           int
	}](t, o.Browser, `(() => {
  window.dispatchEvent(new Event("pagehide"));
  let source;
  window.EventSource = class { constructor() { source = this; } close() {} };
  window.dispatchEvent(new Event("pageshow"));
  const table = () => document.querySelector("#partitions .scroll");
  const wide = new CSSStyleSheet();
  wide.replaceSync("#partitions table { width: 60rem; }");
  document.adoptedStyleSheets = [wide];
  table().scrollLeft = 40;
  const sent = new DOMParser().parseFromString(document.querySelector("[data-fragment]").innerHTML, "text/html").body;
  for (const id of ["acts", "partitions"]) sent.querySelector("#" + id + " h2").textContent += ", changed";
  source.onmessage({data: JSON.stringify(sent.innerHTML)});
  return {Changed: document.querySelector("#acts h2").textContent.endsWith(", changed"), Focus: document.activeElement.id === "pause-note",
    Note: document.querySelector("#pause-note").value, Left: table().scrollLeft};
})()`)
	if !kept.Changed || !kept.Focus || kept.Note != "half a no" || kept.Left != 40 {
		t.Errorf("after the page has changed: %+v", kept)
	}
}
