package tracing

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestClientsDoNotDecide: a client's traceparent is a link, whoever it is; a trusted
// proxy's is followed.
func TestClientsDoNotDecide(t *testing.T) {
	for _, test := range []struct {
		traceparent     []string
		trusted         bool
		followed, links bool
	}{
		{traceparentOf(1), false, false, true},
		{traceparentOf(1), true, true, false},
		{[]string{"nonsense"}, true, false, false},
		{append(traceparentOf(1), traceparentOf(2)...), true, false, false},
		{nil, true, false, false},
	} {
		traces, spans := recording(t)
		r := httptest.NewRequest(http.MethodGet, "/v1/account/export", nil)
		r.Header["Traceparent"] = test.traceparent
		_, end := traces.Request(r, http.MethodGet, test.trusted)
		end(Answered{Route: "/v1/account/export", Status: 503, Reason: "busy"})
		s := spans.Ended()[0]
		if s.Parent().IsValid() != test.followed || len(s.Links()) > 0 != test.links || s.Name() != "GET /v1/account/export" {
			t.Errorf("%q, trusted %v: parent %v, links %v", test.traceparent, test.trusted, s.Parent().IsValid(), s.Links())
		}
	}
}
