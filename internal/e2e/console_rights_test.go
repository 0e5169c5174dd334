package e2e

import (
	"fmt"
	"testing"

	"accountexport/internal/local/browser"
)

// isRefused: a console without rights shows no button that changes anything, says how one
// with rights is started, and refuses every act that a page of its own origin asks for all the same.
// Nothing has happened after that, and nothing of it is in the audit.
func (o *operator) isRefused(t *testing.T, acts []string) {
	t.Helper()
	o.open(t, "/")
	o.sees(t, "reads only")
	o.seesNot(t, "Pause projecting")
	for _, act := range acts {
		got := browser.Evaluate[struct {
			Status int
			Body   string
		}](t, o.Browser, fmt.Sprintf(`fetch("/api/acts/%s", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({note: "x", account: %q})})
.then(async (r) => ({Status: r.status, Body: await r.text()}))`, act, someone))
		if got.Status != 403 {
			t.Errorf("%s: status %d: %.300s", act, got.Status, got.Body)
		}
		checkContains(t, got.Body, "this console only reads", "projector console --allow-acts")
	}
	// The same as a form of a page, which a reader is told of.
	browser.Evaluate[bool](t, o.Browser, `(() => { const f = document.createElement("form"); f.method = "post"; f.action = "/acts/pause"; document.body.append(f); f.submit(); return true; })()`)
	o.sees(t, "Refused: this console only reads", "projector console --allow-acts")
	if note := o.pauseNote(t); note != "" {
		t.Errorf("projecting is paused: %q", note)
	}
	var lines int
	if err := o.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE through = 'console'`).Scan(&lines); err != nil || lines != 0 {
		t.Errorf("the audit has %d lines of what was refused, %v", lines, err)
	}
}
