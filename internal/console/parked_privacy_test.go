package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"accountexport/events"
)

// beside is another console of the same servers, which is not running: it can be looked at.
func (s *stack) beside(t *testing.T, change func(*Config)) func(path string, want int) string {
	t.Helper()
	cfg := s.c.cfg
	change(&cfg)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.target.Store(s.c.target.Load())
	return func(path string, want int) string {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != want {
			t.Fatalf("GET %s: status %d, want %d: %.2000s", path, w.Code, want, w.Body)
		}
		return w.Body.String()
	}
}

// TestParkedMessagesAreMasked: whatever a parked message holds, and wherever, no page and
// no JSON of a masked console has anything of it; a console that shows everything shows it
// harmlessly, and no page is large.
func TestParkedMessagesAreMasked(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	s.badDeploy(t, 2)
	hostile := `<script>alert('` + marker + `')</script><img src=x onerror=alert(1)>` + "\u202e\u0007`"
	structured := func(typ string) []byte { // its time is what parks it
		quoted, err := json.Marshal(typ)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, `{"specversion":"1.0","id":"1","source":"/x","type":%s,"time":"then","data":{}}`, quoted)
	}
	subject := events.AccountSubject(parkedAccount(0))
	var at []uint64
	for _, m := range []events.Message{
		{Subject: "controlplane.account." + marker + "@example", Data: []byte(`{}`)},
		{Subject: subject, Data: structured(hostile)},
		{Subject: subject, Data: structured(marker + ".v1")},
		{Subject: subject, Data: structured("controlplane.user.renamed.v1")},
		{Subject: subject, Header: map[string][]string{"X-Secret": {marker}, "Ce-Id": {marker}}, Data: []byte(strings.Repeat(marker, 900_000/len(marker)))},
		{Subject: subject, Data: []byte(`{"email": "` + hostile + "\xff" + `"`)},
	} {
		at = append(at, s.publish(t, m, nil))
	}
	v := s.parkedJSON(t, "")
	paths := []string{"/parked", "/parked?view=list", "/parked?view=list&after=2", "/parked/confirm/dismiss", "/parked/confirm/retry?reason=e"}
	for _, g := range v.Groups {
		paths = append(paths, g.Link)
	}
	for _, p := range append(at, 2, 3) {
		paths = append(paths, fmt.Sprintf("/parked/%d", p))
	}
	get := s.beside(t, func(*Config) {})
	full := s.beside(t, func(c *Config) { c.Privacy = Full })
	shownInFull := ""
	for _, path := range paths {
		for _, p := range []string{path, "/api" + path} {
			body := get(p, http.StatusOK)
			if strings.Contains(body, marker) || strings.Contains(body, "xxxx") {
				t.Errorf("%s shows what was found: %.3000s", p, body)
			}
			whole := full(p, http.StatusOK)
			shownInFull += whole
			for of, b := range map[string]string{"masked": body, "full": whole} {
				if len(b) > 200_000 {
					t.Errorf("%s, %s: %d bytes", p, of, len(b))
				}
				if p == path && (strings.Contains(b, "<script>") || strings.Contains(b, "<img") || strings.ContainsRune(b, '\u202e')) {
					t.Errorf("%s, %s, does not escape what it shows: %.3000s", p, of, b)
				}
			}
		}
	}
	contains(t, shownInFull, marker+"-0-0", "&lt;script&gt;", `\u202e`, "X-Secret: "+marker, "(899997 characters)", "controlplane.account."+marker)
	contains(t, get(fmt.Sprintf("/parked/%d", at[0]), http.StatusOK), "masked: text of", "its subject names none")
	contains(t, get(fmt.Sprintf("/parked/%d", at[3]), http.StatusOK), "user.renamed.v1")

	// An act on them says nothing of it, either.
	done := s.submit(t, "/parked/confirm/dismiss?from="+fmt.Sprint(at[0]), "parked-dismiss", map[string]string{"note": hostile[len(hostile)-8:]})
	if strings.Contains(done, marker) {
		t.Errorf("the act shows what was found: %s", done)
	}
	if q := (url.Values{"type": {hostile}}).Encode(); strings.Contains(s.get(t, "/parked?"+q, http.StatusOK), "<script>") {
		t.Error("a filter is not escaped")
	}
}
