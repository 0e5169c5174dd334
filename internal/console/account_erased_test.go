package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"accountexport/events"
)

// testErased: once an account is erased, nothing that was read of it
// before is shown or kept, and its only message is the erasure.
func testErased(t *testing.T, s *stack, p *person) {
	before := p.every(t)
	kept := func() string {
		h := s.c.accounts.histories
		h.mu.Lock()
		defer h.mu.Unlock()
		if k := h.all[p.id]; k != nil {
			return string(k.kept.first[:cap(k.kept.first)]) + string(k.entry[:cap(k.entry)])
		}
		return ""
	}
	if !strings.Contains(kept(), "s3cret") {
		t.Fatal("no history is kept")
	}
	m, err := events.NewAccountErased(p.meta(), p.id)
	erased := p.send(m, err) // the stream holds all other messages yet, and perhaps nobody has folded the erasure
	check := func(when string) {
		t.Helper()
		for path := range before {
			answer := s.get(t, path, http.StatusOK)
			if strings.Contains(strings.ToLower(answer), "s3cret") {
				t.Errorf("%s: %s shows a value", when, path)
			}
		}
	}
	// The read model may serve the document until it has folded the erasure, and no longer.
	var v timelineView
	if s.getJSON(t, "/api"+p.path()+"/timeline", &v); len(v.Entries) != 1 || v.Entries[0].Position != erased || len(v.Entries[0].Changes) != 0 {
		t.Errorf("the timeline of an erased account: %+v", v.Entries)
	}
	s.projected(t, erased)
	check("before its messages are removed")
	if is := kept(); strings.Contains(is, "s3cret") {
		t.Errorf("it is kept: %q", is)
	}
	if _, err := s.client.PurgeAccount(t.Context(), p.id, erased, nil); err != nil {
		t.Fatal(err)
	}
	page := s.get(t, p.path(), http.StatusOK)
	if !strings.Contains(page, ">erased<") || !strings.Contains(page, "at position "+grouped(fmt.Sprint(erased))) || !strings.Contains(page, "account.erased.v1") {
		t.Errorf("an erased account: %s", page)
	}
}

// testErasedPast: from when the stream has the erasure on, whether somebody has folded it or
// not, the document of the past is not shown any more. It stops the projector.
func testErasedPast(t *testing.T, s *stack, p *person) {
	last := at(p.positions[len(p.positions)-1])
	paths := []string{"/api" + p.path() + "/document?at=" + last, p.path() + "?at=" + last}
	for _, path := range paths {
		if answer := s.get(t, path, http.StatusOK); !strings.Contains(answer, "box-117") {
			t.Fatalf("%s shows no document: %s", path, answer)
		}
	}
	s.stop()
	p.send(events.NewAccountErased(p.meta(), p.id))
	for _, path := range paths {
		if answer := s.get(t, path, http.StatusOK); strings.Contains(answer, "box-") || !strings.Contains(answer, "was erased") {
			t.Errorf("%s shows the past of an erased account: %s", path, answer)
		}
	}
}

// testRemoved: what is removed from the stream without an erasure is
// not shown any more either, though it was read before.
func testRemoved(t *testing.T, s *stack, p *person) {
	path := "/api" + p.path() + "/timeline"
	if answer := s.get(t, path, http.StatusOK); !strings.Contains(answer, "s3cret-flag") {
		t.Fatalf("the timeline: %s", answer)
	}
	if _, err := s.client.DeleteMessage(t.Context(), p.positions[4]); err != nil {
		t.Fatal(err)
	}
	if answer := s.get(t, path, http.StatusOK); strings.Contains(answer, "s3cret-flag") || !strings.Contains(answer, "s3cret-other") {
		t.Errorf("the timeline after a message was removed: %s", answer)
	}
	if v := s.act(t, "refold", map[string]string{"account": p.id.String()}, http.StatusOK); v.Failed == "" {
		t.Errorf("refolding to less: %+v", v)
	}
}

// testLedger: an account on the ledger of erasures whose messages the
// stream has without the erasure, as it has when it was restored from before, is not shown.
func testLedger(t *testing.T, s *stack, p *person) {
	before := p.every(t)
	if _, err := s.pool.Exec(t.Context(), `INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created)
VALUES ($1, now(), 1, 'CONTROL_PLANE', now())`, [16]byte(p.id)); err != nil {
		t.Fatal(err)
	}
	for path := range before {
		if answer := s.get(t, path, http.StatusOK); strings.Contains(strings.ToLower(answer), "s3cret") {
			t.Errorf("%s shows a value", path)
		}
	}
	if page := s.get(t, p.path(), http.StatusOK); !strings.Contains(page, "without its erasure") {
		t.Errorf("the page does not say why: %s", page)
	}
}
