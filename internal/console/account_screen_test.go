package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
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
	testParked(t, s, p)
	if answer := s.get(t, "/api/accounts?account="+p.id.String(), http.StatusOK); !strings.Contains(answer, `"account":"`+p.id.String()) {
		t.Errorf("where an account is, as the manual has it: %s", answer)
	}
	if page := s.get(t, "/accounts?id=3c90", http.StatusBadRequest); !strings.Contains(page, "It has to be a UUID") {
		t.Errorf("a bad id: %s", page)
	}
	s.get(t, "/accounts/3c90", http.StatusBadRequest)
	if page := s.get(t, "/accounts/"+events.NewUUID().String(), http.StatusOK); !strings.Contains(page, "never heard of") || !strings.Contains(page, "holds 0 messages") {
		t.Errorf("an unknown account: %s", page)
	}
}

// testParked: what is parked of the account is listed with its reason, and whether it
// counts.
func testParked(t *testing.T, s *stack, p *person) {
	parked := p.positions[10]
	want := parkedLine{Position: parked, Type: "controlplane.user.operator_changed.v1", Reason: "data.is_operator: found a text, want true or false"}
	var v accountView
	s.getJSON(t, "/api"+p.path(), &v)
	if len(v.ParkedMessages) != 1 || v.Parked != 1 || v.Dismissed != 0 || v.ParkedMessages[0].SentAt.IsZero() {
		t.Fatalf("parked: %+v", v.ParkedMessages)
	}
	got := v.ParkedMessages[0]
	got.SentAt = want.SentAt
	if got != want {
		t.Errorf("parked: %+v, want %+v", got, want)
	}
	if page := s.get(t, p.path(), http.StatusOK); !strings.Contains(page, fmt.Sprintf(`href="/parked/%d"`, parked)) {
		t.Errorf("no link to the parked message: %s", page)
	}
	selection := &acts.ParkedSelection{Pool: s.pool, Filter: admin.ParkedFilter{Account: &p.id}}
	if err := selection.Select(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := selection.Dismiss(t.Context(), "a test", false); n != 1 || err != nil {
		t.Fatalf("%d dismissed: %v", n, err)
	}
	if s.getJSON(t, "/api"+p.path(), &v); v.Dismissed != 1 || !v.ParkedMessages[0].Dismissed {
		t.Errorf("dismissed: %+v", v.ParkedMessages)
	}
}
