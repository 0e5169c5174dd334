package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"accountexport/events"
)

// every asks for all that there is of an account, pages and JSON, and gives each answer.
func (p *person) every(t *testing.T) map[string]string {
	t.Helper()
	paths := []string{"", "?section=sandboxes&items=1", "?outcome=parked", "?first=3"}
	for _, position := range p.positions {
		paths = append(paths, fmt.Sprintf("?at=%d", position))
	}
	paths = append(paths, fmt.Sprintf("?message=%d", p.positions[len(p.positions)/2]))
	answers := map[string]string{}
	for _, path := range paths {
		for _, way := range []string{"", "/api"} {
			answers[way+p.path()+path] = p.s.get(t, way+p.path()+path, http.StatusOK)
		}
	}
	for i := range p.positions {
		path := fmt.Sprintf("/api%s/document?parts=html&index=%d", p.path(), i)
		answers[path] = p.s.get(t, path, http.StatusOK)
	}
	path := "/api" + p.path() + "/timeline?rows=html&limit=200"
	answers[path] = p.s.get(t, path, http.StatusOK)
	return answers
}

// TestAccountsMasked is of a console that only reads, and masks.
func TestAccountsMasked(t *testing.T) {
	s := newStack(t)
	p, incomplete := newPerson(t, s), newPerson(t, s)
	p.live()
	incomplete.send(events.NewUserRegistered(incomplete.meta(), incomplete.id, events.UserRegistered{Email: "a@example.org", Tier: "free", QuotaTierID: "free"}))
	incomplete.mislabel()
	incomplete.settled()
	t.Run("an account is found and shown", func(t *testing.T) { testFound(t, s, p) })
	t.Run("a verification writes nothing", func(t *testing.T) { testCompletes(t, s, p, false) })
	t.Run("no value is shown", func(t *testing.T) { testMasked(t, s, p) })
	t.Run("what is no type is not shown", func(t *testing.T) { testMislabelled(t, incomplete) })
	t.Run("looks are recorded", func(t *testing.T) { testLooks(t, s, p) })
	t.Run("incomplete", func(t *testing.T) { testIncomplete(t, s, incomplete) })
	t.Run("a stream that is refused", func(t *testing.T) { testRefused(t, s, p) })
}

// TestAccountsFull is of a console that acts, and shows everything.
func TestAccountsFull(t *testing.T) {
	s := newStack(t, func(c *Config) { c.Privacy, c.AllowActs = Full, true })
	p, other, large, erased := newPerson(t, s), newPerson(t, s), newPerson(t, s), newPerson(t, s)
	for _, each := range []*person{p, other, large, erased} {
		each.live()
	}
	hostile, long := newPerson(t, s), newPerson(t, s)
	hostile.attack()
	long.createMany(120)
	long.settled()
	t.Run("every value would be found", func(t *testing.T) { testUnmasked(t, p) })
	testHistory(t, s, p)
	t.Run("hostile content", func(t *testing.T) { testHostile(t, s, hostile) })
	t.Run("long sections", func(t *testing.T) { testLongSections(t, s, long) })
	t.Run("histories that are kept", func(t *testing.T) { testHistories(t, s, p) })
	t.Run("bounds", func(t *testing.T) { testBounds(t, s, p, large) })
	t.Run("a verification completes a row", func(t *testing.T) { testCompletes(t, s, other, true) })
	t.Run("verify and refold", func(t *testing.T) { testActs(t, s, p) })
	t.Run("an erasure", func(t *testing.T) { testErased(t, s, erased) })
	t.Run("an erasure that the stream lacks", func(t *testing.T) { testLedger(t, s, p) })
	t.Run("messages that are removed", func(t *testing.T) { testRemoved(t, s, other) })
	t.Run("an erasure that nobody has folded", func(t *testing.T) { testErasedPast(t, s, long) })
}

// testMasked: neither a page nor its JSON holds a value that somebody
// has made up, in whatever spelling.
func testMasked(t *testing.T, s *stack, p *person) {
	for path, answer := range p.every(t) {
		for _, secret := range secrets {
			if strings.Contains(strings.ToLower(answer), strings.ToLower(secret)) {
				t.Errorf("%s shows %s", path, secret)
			}
		}
		if strings.Contains(strings.ToLower(answer), "s3cret") {
			t.Errorf("%s shows a part of a value", path)
		}
	}
	s.corrupt(t, p)
	if v := s.act(t, "verify", map[string]string{"account": p.id.String()}, http.StatusOK); v.Failed != "" || !strings.Contains(v.Summary, "differ") {
		t.Errorf("verify: %+v", v)
	} else if page := s.get(t, "/jobs/"+v.ID, http.StatusOK); strings.Contains(page, "s3cr") || strings.Contains(page, "S3cr") || !strings.Contains(page, "user: differs at byte") {
		t.Errorf("what a verification has found: %s", page)
	}
}

// testMislabelled: what a message has in the place of its type may be anything, so that of
// it is shown what is the name of a type, and nothing else.
func testMislabelled(t *testing.T, p *person) {
	told := false
	for path, answer := range p.every(t) {
		if strings.Contains(strings.ToLower(answer), "s3cret") {
			t.Errorf("%s shows what stands for a type", path)
		}
		told = told || strings.Contains(answer, maskedType) && strings.Contains(answer, "user.registered.v1")
	}
	if !told {
		t.Error("no page says that it is masked")
	}
}

// testUnmasked: a console that shows everything shows each of the values.
func testUnmasked(t *testing.T, p *person) {
	all := ""
	for _, answer := range p.every(t) {
		all += answer
	}
	for _, secret := range secrets {
		if !strings.Contains(all, secret) {
			t.Errorf("%s is not shown where everything is", secret)
		}
	}
}

// testLooks: a page that is opened is a line, and what it asks for while it is
// read is none; where the line cannot be written, nothing is shown.
func testLooks(t *testing.T, s *stack, p *person) {
	if _, err := s.pool.Exec(t.Context(), `DELETE FROM export.audit`); err != nil {
		t.Fatal(err)
	}
	s.c.accounts.looks.mu.Lock()
	clear(s.c.accounts.looks.made)
	s.c.accounts.looks.mu.Unlock()
	lines := func() (n int) {
		t.Helper()
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE account = $1 AND what LIKE 'account.%'`, [16]byte(p.id)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	s.get(t, "/api"+p.path()+"/timeline", http.StatusOK)
	if n := lines(); n != 1 {
		t.Errorf("a timeline of which no page was opened is %d lines, want 1", n)
	}
	s.get(t, p.path(), http.StatusOK)
	s.get(t, p.path(), http.StatusOK)
	for i := range 5 {
		s.get(t, fmt.Sprintf("/api%s/document?index=%d", p.path(), i), http.StatusOK)
		s.get(t, fmt.Sprintf("/api%s/timeline?first=%d", p.path(), i), http.StatusOK)
	}
	if n := lines(); n != 3 {
		t.Errorf("two pages and their timelines are %d lines in all, want 3", n)
	}
	if _, err := s.pool.Exec(t.Context(), `ALTER TABLE export.audit RENAME TO audit_away`); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := s.pool.Exec(t.Context(), `ALTER TABLE export.audit_away RENAME TO audit`); err != nil {
			t.Fatal(err)
		}
	}()
	if answer := s.get(t, p.path(), http.StatusServiceUnavailable); strings.Contains(answer, "sbx-1") || !strings.Contains(answer, "projector provision") {
		t.Errorf("a look that cannot be recorded: %s", answer)
	}
}
