package console

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// testActs: an account is verified and refolded, and what that has come to is said in
// words.
func testActs(t *testing.T, s *stack, p *person) {
	id := map[string]string{"account": strings.ToUpper(p.id.String())}
	if v := s.act(t, "verify", id, http.StatusOK); v.Failed != "" || !strings.Contains(v.Summary, "nothing differs") {
		t.Errorf("verify: %+v", v)
	}
	s.corrupt(t, p)
	v := s.act(t, "verify", id, http.StatusOK)
	page := s.get(t, "/jobs/"+v.ID, http.StatusOK)
	for _, want := range []string{"user: differs at byte", "projector refold --account " + p.id.String()} {
		if !strings.Contains(page, want) {
			t.Errorf("a difference lacks %q: %s", want, page)
		}
	}
	if v := s.act(t, "refold", id, http.StatusOK); v.Failed != "" || !strings.Contains(v.Summary, "has changed") {
		t.Errorf("refold: %+v", v)
	}
	if v := s.act(t, "refold", id, http.StatusOK); v.Failed != "" || !strings.Contains(v.Summary, "nothing stored of it has changed") {
		t.Errorf("refold again: %+v", v)
	}
	if v := s.act(t, "verify", id, http.StatusOK); !strings.Contains(v.Summary, "nothing differs") {
		t.Errorf("verify after a refold: %+v", v)
	}
	unknown := map[string]string{"account": events.NewUUID().String()}
	if v := s.act(t, "refold", unknown, http.StatusOK); !strings.Contains(v.Failed, "Neither the stream nor the read model") {
		t.Errorf("refolding what was never heard of: %+v", v)
	}
	if v := s.act(t, "verify", unknown, http.StatusOK); v.Failed != "" {
		t.Errorf("verifying what was never heard of: %+v", v)
	}
	s.act(t, "verify", map[string]string{"account": "3c90"}, http.StatusBadRequest)
	resp, err := http.PostForm(s.url+"/acts/verify", url.Values{"account": {p.id.String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || !strings.Contains(string(b), "Verify account") {
		t.Errorf("the form: %d %s", resp.StatusCode, b)
	}
}

// testIncomplete: what an incomplete account lacks is said, now and of the past.
func testIncomplete(t *testing.T, s *stack, p *person) {
	if page := s.get(t, p.path(), http.StatusOK); !strings.Contains(page, ">incomplete<") || !strings.Contains(page, "lacks <code>team</code>, <code>quota_tier</code>") {
		t.Errorf("an incomplete account: %s", page)
	}
	if page := s.get(t, p.path()+"?at="+at(p.positions[0]), http.StatusOK); !strings.Contains(page, "it lacked team, quota_tier") {
		t.Errorf("an incomplete account of the past: %s", page)
	}
}

// testRefused: where the stream is another than the one that was folded, which `projector
// run` would refuse, the page says so beside what is stored, and no field leads to a
// message.
func testRefused(t *testing.T, s *stack, p *person) {
	s.stop()
	if _, err := s.pool.Exec(t.Context(), `UPDATE export.generations SET stream_created = stream_created - interval '1 day'`); err != nil {
		t.Fatal(err)
	}
	testrun.Eventually(t, "the page says that the stream is refused", func() bool {
		s.get(t, "/", http.StatusOK) // has the next look come at once
		page := s.get(t, p.path(), http.StatusOK)
		return strings.Contains(page, "would refuse the stream") && strings.Contains(page, "is not the one that the read model was folded from")
	})
	page := s.get(t, p.path(), http.StatusOK)
	if strings.Contains(page, `class="origin"`) {
		t.Errorf("a field leads to a message of another stream: %s", page)
	}
	if !strings.Contains(page, "email_verified_at") {
		t.Errorf("what is stored is not shown: %s", page)
	}
	v := s.act(t, "verify", map[string]string{"account": p.id.String()}, http.StatusOK)
	if result := s.get(t, "/jobs/"+v.ID, http.StatusOK); !strings.Contains(result, "would refuse this stream") {
		t.Errorf("verifying by a stream that is refused: %s", result)
	}
}

// corrupt changes what is stored of the user.
func (s *stack) corrupt(t *testing.T, p *person) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), `UPDATE export_g1.account_export SET user_json = convert_to(replace(convert_from(user_json, 'UTF8'), 's3cret-other', 's3cret-wrong'), 'UTF8')
WHERE account_id = $1`, [16]byte(p.id)); err != nil {
		t.Fatal(err)
	}
}
