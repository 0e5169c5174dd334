package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// TestAuditIsReadAndFiltered: who looked and who acted is read to its end in pages, by
// account, user, kind and time, each page with one statement, and reading adds no line;
// whatever a line holds is harmless on the page.
func TestAuditIsReadAndFiltered(t *testing.T) {
	t.Parallel()
	count := &counter{statements: make(chan string, 1<<16)}
	s := newStack(t, func(c *Config) { c.Pool = countedPool(t, c.Pool, count) })
	account, err := events.ParseUUID(someone)
	if err != nil {
		t.Fatal(err)
	}
	const hostile = "<script>alert(1)</script>\u202e"
	for i := range 250 {
		e := admin.AuditEntry{Who: "anna@desk", Through: acts.ThroughCommandLine, What: acts.ParkedViewed, Detail: fmt.Sprintf("position %d", i), Outcome: acts.OutcomeDone}
		switch i % 5 {
		case 0:
			e.Who, e.What, e.Account, e.Through = "bob+x y&z@desk", acts.AccountViewed, &account, acts.ThroughConsole
		case 1:
			e.Who, e.Detail, e.What, e.Outcome = hostile, strings.Repeat(hostile, 3), "later.word", acts.OutcomeBegun
		}
		if _, err := admin.NoteAudit(t.Context(), s.pool, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.pool.Exec(t.Context(), `UPDATE export.audit SET at = now() - interval '3 days' WHERE id <= 100`); err != nil {
		t.Fatal(err)
	}
	read := func(query string) (lines []auditLine, pages int) {
		t.Helper()
		for path := "/audit?" + query; path != "" && pages < 10; pages++ {
			count.taken()
			var v auditView
			s.getJSON(t, "/api"+path, &v)
			if all := count.taken(); len(all) != 1 {
				t.Errorf("%s takes %d statements: %q", path, len(all), all)
			}
			lines, path = append(lines, v.Lines...), v.Next
		}
		return lines, pages
	}
	all, pages := read("")
	if len(all) != 250 || pages != 3 || !slices.IsSortedFunc(all, func(a, b auditLine) int { return int(b.ID - a.ID) }) {
		t.Errorf("%d lines on %d pages, want 250 on 3, the newest first", len(all), pages)
	}
	for _, f := range []struct {
		name, value string
		want        int
		means       func(auditLine) bool
	}{
		{"account", someone, 50, func(l auditLine) bool { return l.Account != nil && *l.Account == someone }},
		{"account", strings.ToUpper(someone), 50, func(l auditLine) bool { return l.Account != nil && *l.Account == someone }},
		{"account", strings.Replace(someone, "3", "4", 1), 0, nil},
		{"who", "bob+x y&z@desk", 50, func(l auditLine) bool { return l.Who == "bob+x y&z@desk" }},
		{"who", hostile, 50, func(l auditLine) bool { return l.Who == hostile }},
		{"who", "nobody", 0, nil},
		{"what", acts.ParkedViewed, 150, func(l auditLine) bool { return l.What == acts.ParkedViewed }},
		{"since", "24h", 150, func(l auditLine) bool { return time.Since(l.At) < 24*time.Hour }},
		{"since", time.Now().Add(-24 * time.Hour).UTC().Format("2006-01-02 15:04"), 150, func(l auditLine) bool { return time.Since(l.At) < 25*time.Hour }},
		{"since", time.Now().Add(-30 * 24 * time.Hour).UTC().Format("2006-01-02"), 250, func(auditLine) bool { return true }},
	} {
		lines, _ := read(url.Values{f.name: {f.value}}.Encode())
		if len(lines) != f.want || slices.ContainsFunc(lines, func(l auditLine) bool { return !f.means(l) }) {
			t.Errorf("by %s %q: %d lines, want %d", f.name, f.value, len(lines), f.want)
		}
	}
	for _, query := range []string{"account=ann", "what=anything", "since=soon", "since=-5h", "before=x", "before=-1", "who=" + strings.Repeat("x", 2000), "who=%00", "who=%ff"} {
		s.get(t, "/audit?"+query, http.StatusBadRequest)
	}
	page := s.get(t, "/audit?who="+url.QueryEscape(hostile), http.StatusOK)
	if strings.Contains(page, "<script>a") || strings.Contains(page[strings.Index(page, "<table"):], "\u202e") || !strings.Contains(page, `&lt;script&gt;alert(1)&lt;/script&gt;\u202e`) {
		t.Errorf("what a line holds is not harmless:\n%s", page)
	}
	for _, want := range []string{"An act that says <strong>begun</strong>", "&#34;later.word&#34;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if !strings.Contains(s.get(t, "/audit", http.StatusOK), `href="/accounts/`+someone+`"`) {
		t.Error("no line leads to its account")
	}
	if again, _ := read(""); len(again) != 250 {
		t.Errorf("reading the audit has made %d lines of 250", len(again))
	}
	for _, word := range acts.AuditWords() {
		if strings.HasPrefix(auditWords(word), `"`) {
			t.Errorf("nobody says in words what %s means", word)
		}
	}
}
