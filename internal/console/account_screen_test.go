package console

import (
	"net/http"
	"strings"
	"testing"

	"accountexport/events"
)

// testFound: an id in either case leads to the account's screen, which
// shows its state, its document and its messages; what is no id is named.
func testFound(t *testing.T, s *stack, p *person) {
	page := s.get(t, "/accounts?id="+strings.ToUpper(p.id.String()), http.StatusOK)
	for _, want := range []string{"<h1>Account " + p.id.String(), ">complete<", "email_verified_at", "masked: text of 24 characters", "sbx-1", "user.registered.v1", "deferred", "duplicate"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if page := s.get(t, "/accounts?id=3c90", http.StatusBadRequest); !strings.Contains(page, "It has to be a UUID") {
		t.Errorf("a bad id: %s", page)
	}
	s.get(t, "/accounts/3c90", http.StatusBadRequest)
	if page := s.get(t, "/accounts/"+events.NewUUID().String(), http.StatusOK); !strings.Contains(page, "never heard of") || !strings.Contains(page, "holds 0 messages") {
		t.Errorf("an unknown account: %s", page)
	}
}
