package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/internal/local/testrun"
)

func TestProblems(t *testing.T) {
	a := start(t, newMemory())
	user := func(id events.UUID) []string { return []string{"Authorization", bearer(t, id)} }
	service, err := serviceKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, method, path string
		headers            []string
		status             int
		kind               string
		want               http.Header // header fields that the answer has to have
	}{
		{"no credentials", "GET", exportPath, nil, 401, "no-credentials", http.Header{"Www-Authenticate": {"Bearer"}}},
		{"another scheme", "GET", exportPath, []string{"Authorization", "Basic YTpi"}, 401, "no-credentials",
			http.Header{"Www-Authenticate": {"Bearer"}}},
		{"a scheme that begins alike", "GET", exportPath, []string{"Authorization", "Bearerx y"}, 401, "no-credentials",
			http.Header{"Www-Authenticate": {"Bearer"}}},
		{"no token", "GET", exportPath, []string{"Authorization", "Bearer"}, 401, "invalid-token",
			http.Header{"Www-Authenticate": {`Bearer error="invalid_token", error_description="the token is malformed"`}}},
		{"a bad token", "GET", exportPath, []string{"Authorization", "Bearer x.y.z"}, 401, "invalid-token",
			http.Header{"Www-Authenticate": {`Bearer error="invalid_token", error_description="the token is malformed"`}}},
		{"two tokens in one header", "GET", exportPath, []string{"Authorization", bearer(t, complete) + " " + bearer(t, parked)}, 401,
			"invalid-token", nil},
		{"a huge token", "GET", exportPath, []string{"Authorization", "Bearer " + strings.Repeat("a", 20000)}, 401, "invalid-token", nil},
		{"a token in the query", "GET", exportPath + "?access_token=" + bearer(t, complete)[7:], nil, 401, "no-credentials", nil},
		{"two headers", "GET", exportPath, append(user(complete), user(complete)...), 400, "invalid-request",
			http.Header{"Www-Authenticate": {`Bearer error="invalid_request", error_description="there is more than one Authorization header"`}}},
		{"service role", "GET", exportPath, []string{"Authorization", "Bearer " + service}, 403, "forbidden", nil},
		{"never heard of", "GET", exportPath, user(unknown), 404, "account-not-found", nil},
		{"erased", "GET", exportPath, user(erased), 410, "account-erased", nil},
		{"incomplete", "GET", exportPath, user(incomplete), 503, "account-incomplete", http.Header{"Retry-After": {"5"}}},
		{"never heard of, any tag", "GET", exportPath, append(user(unknown), "If-None-Match", "*"), 404, "account-not-found", nil},
		{"erased, any tag", "GET", exportPath, append(user(erased), "If-None-Match", "*"), 410, "account-erased", nil},
		{"incomplete, any tag", "GET", exportPath, append(user(incomplete), "If-None-Match", "*"), 503, "account-incomplete", nil},
		{"never heard of, with any tag", "GET", exportPath, append(user(unknown), "If-Match", "*"), 404, "account-not-found", nil},
		{"erased, with a tag", "GET", exportPath, append(user(erased), "If-Match", `"a"`), 410, "account-erased", nil},
		{"nothing acceptable, with a tag", "GET", exportPath, append(user(complete), "If-Match", `"a"`, "Accept-Encoding", "identity;q=0"), 406, "not-acceptable", nil},
		{"another method", "POST", exportPath, user(complete), 405, "method-not-allowed", http.Header{"Allow": {"GET, HEAD"}}},
		{"a method of no standard", "FROB", exportPath, nil, 405, "method-not-allowed", http.Header{"Allow": {"GET, HEAD"}}},
		{"OPTIONS", "OPTIONS", exportPath, nil, 405, "method-not-allowed", http.Header{"Allow": {"GET, HEAD"}}},
		{"root", "GET", "/", nil, 404, "no-such-path", nil},
		{"another path", "GET", "/v1/account/exports", user(complete), 404, "no-such-path", nil},
		{"slash at the end", "GET", exportPath + "/", user(complete), 404, "no-such-path", nil},
		{"path not clean", "GET", "//v1/account/export", user(complete), 404, "no-such-path", nil},
		{"path through its parent", "GET", "/v1/x/../account/export", user(complete), 404, "no-such-path", nil},
		{"defect", "GET", exportPath, user(panics), 500, "internal", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := a.ask(t, test.method, test.path, test.headers...)
			checkProblem(t, got, test.status, test.kind)
			for name, values := range test.want {
				if d := cmp.Diff(values, got.header[name]); d != "" {
					t.Errorf("%s: %s", name, d)
				}
			}
			if test.want["Www-Authenticate"] == nil && test.status == 403 && got.header["Www-Authenticate"] != nil {
				t.Error("403 with a challenge")
			}
		})
	}
	panicked := "# HELP export_panics_total Requests that ended in a defect of the program.\n" +
		"# TYPE export_panics_total counter\nexport_panics_total 1\n"
	if err := testutil.GatherAndCompare(a.reg, strings.NewReader(panicked), "export_panics_total"); err != nil {
		t.Error(err)
	}
	if strings.Contains(a.log.String(), "a@example.com") || strings.Contains(a.log.String(), "eyJ") {
		t.Errorf("the log has account data: %s", a.log)
	}
}

func TestMissingIsNamed(t *testing.T) {
	got := start(t, newMemory()).ask(t, "GET", exportPath, "Authorization", bearer(t, incomplete))
	if !strings.Contains(got.body, `"missing":["team","quota_tier"]`) {
		t.Errorf("got %s", got.body)
	}
}

func TestDatabaseAway(t *testing.T) {
	m := newMemory()
	m.err = errors.New(`SELECT failed for user "hunter2"`)
	a := start(t, m)
	checkProblem(t, a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete)), 503, "unavailable")
	checkProblem(t, a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete), "If-None-Match", "*"), 503, "unavailable")
	if n := strings.Count(a.log.String(), "cannot read an export"); n != 2 {
		t.Errorf("logged %d times for 2 requests", n)
	}
	if strings.Contains(a.log.String(), complete.String()) {
		t.Errorf("the log names the account: %s", a.log)
	}
}

func TestKeysAway(t *testing.T) {
	v, err := auth.New(auth.Config{Issuer: issuer, Audience: "authenticated", JWKSURL: "http://127.0.0.1:1/"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a := startWith(t, newMemory(), v)
	es256 := "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30.AAAA"
	checkProblem(t, a.ask(t, "GET", exportPath, "Authorization", "Bearer "+es256), 503, "keys-unavailable")
}

func TestDocument(t *testing.T) {
	a := start(t, newMemory())
	get := a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete), "X-Request-Id", "from.proxy-1")
	want := http.Header{
		"Content-Type":            {"application/json"},
		"Content-Length":          {fmt.Sprint(len(get.body))},
		"Etag":                    {`"1.0-77-3"`},
		"Accept-Ranges":           {"bytes"},
		"Cache-Control":           {"private, no-cache"},
		"Vary":                    {"Authorization, Accept-Encoding"},
		"Content-Disposition":     {`attachment; filename="account-export-2026-11-24.json"`},
		"Export-Position":         {"77"},
		"Export-As-Of":            {"2026-11-24T02:03:04.5Z"},
		"X-Content-Type-Options":  {"nosniff"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
		"Referrer-Policy":         {"no-referrer"},
		"X-Request-Id":            {"from.proxy-1"},
	}
	get.header.Del("Date")
	if d := cmp.Diff(want, get.header); get.status != 200 || d != "" {
		t.Errorf("GET: %d %s", get.status, d)
	}
	head := a.ask(t, "HEAD", exportPath, "Authorization", bearer(t, complete), "X-Request-Id", "from.proxy-1")
	head.header.Del("Date")
	if d := cmp.Diff(want, head.header); head.status != 200 || head.body != "" || d != "" {
		t.Errorf("HEAD: %d %q %s", head.status, head.body, d)
	}
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked)).header.Get("Export-Parked"); got != "2" {
		t.Errorf("Export-Parked: %q", got)
	}
	if got := a.ask(t, "GET", exportPath, "Authorization", "bEARER  "+bearer(t, complete)[7:]); got.status != 200 {
		t.Errorf("scheme in another case: %d", got.status)
	}
}

func TestNotModified(t *testing.T) {
	m := newMemory()
	a := start(t, m)
	for _, test := range []struct {
		tags   []string
		status int
	}{
		{[]string{`W/"1.0-77-3"`}, 304},
		{[]string{`"1.0-77-3"`}, 304},
		{[]string{`*`}, 304},
		{[]string{` "a,b" , W/"1.0-77-3"`}, 304},
		{[]string{`"a"`, `W/"1.0-77-3"`}, 304},
		{[]string{`,,W/"1.0-77-3"`}, 304},
		{[]string{`"1.0-77-4"`}, 200},
		{[]string{`1.0-77-3`}, 200},
		{[]string{`"a, W/"1.0-77-3"`}, 200},
		{[]string{`w/"1.0-77-3"`}, 200},
		{[]string{`"*"`}, 200},
		{[]string{``}, 200},
		{[]string{`"`}, 200},
		{[]string{`W/`}, 200},
	} {
		m.resetOpened(0)
		headers := []string{"Authorization", bearer(t, complete)}
		for _, tag := range test.tags {
			headers = append(headers, "If-None-Match", tag)
		}
		for _, method := range []string{"GET", "HEAD"} {
			got := a.ask(t, method, exportPath, headers...)
			if got.status != test.status {
				t.Errorf("%s %q: got %d, want %d", method, test.tags, got.status, test.status)
			}
			if got.status != 304 {
				continue
			}
			for name, value := range map[string]string{"Etag": `"1.0-77-3"`, "Vary": "Authorization, Accept-Encoding", "Cache-Control": "private, no-cache"} {
				if got.header.Get(name) != value {
					t.Errorf("%s %q: %s: %q", method, test.tags, name, got.header.Get(name))
				}
			}
			if opened := m.resetOpened(0); got.body != "" || opened != 0 {
				t.Errorf("%s %q: body %q, opened %d times", method, test.tags, got.body, opened)
			}
		}
	}
}

// TestIfMatch: the comparison is strong and precedes If-None-Match and Range. The
// coding in which a document is sent does not matter.
func TestIfMatch(t *testing.T) {
	m := newMemory()
	a := start(t, m)
	for _, test := range []struct {
		headers []string
		status  int
	}{
		{[]string{"If-Match", `"1.0-77-3"`}, 200},
		{[]string{"If-Match", `*`}, 200},
		{[]string{"If-Match", `"a,b" , "1.0-77-3"`}, 200},
		{[]string{"If-Match", `"a"`, "If-Match", `"1.0-77-3"`}, 200},
		{[]string{"If-Match", `W/"1.0-77-3", "1.0-77-3"`}, 200},
		{[]string{"If-Match", `"1.0-77-3"`, "Accept-Encoding", "gzip"}, 200},
		{[]string{"If-Match", `"1.0-77-3"`, "If-None-Match", `"1.0-77-3"`}, 304},
		{[]string{"If-Match", `W/"1.0-77-3"`}, 412},
		{[]string{"If-Match", `"1.0-77-4"`}, 412},
		{[]string{"If-Match", `1.0-77-3`}, 412},
		{[]string{"If-Match", `"*"`}, 412},
		{[]string{"If-Match", ``}, 412},
		{[]string{"If-Match", `"a"`, "If-None-Match", `*`}, 412},
		{[]string{"If-Match", `"a"`, "Range", "bytes=0-1"}, 412},
		{[]string{"If-Match", `"a"`, "Range", "bytes=99999-"}, 412},
	} {
		m.resetOpened(0)
		for _, method := range []string{"GET", "HEAD"} {
			got := a.ask(t, method, exportPath, append(test.headers, "Authorization", bearer(t, complete))...)
			if got.status != test.status {
				t.Errorf("%s %q: got %d, want %d", method, test.headers, got.status, test.status)
			}
			if got.status == 412 && (m.resetOpened(0) != 0 || got.header.Get("Etag") != "") {
				t.Errorf("%s %q: the document was read, or %v", method, test.headers, got.header)
			}
			if got.status == 412 && method == "GET" {
				checkProblem(t, got, 412, "precondition-failed")
			}
		}
	}
	m.changes = true // between reading its metadata and opening it
	checkProblem(t, a.ask(t, "GET", exportPath, "If-Match", `"1.0-77-3"`, "Authorization", bearer(t, complete)), 412, "precondition-failed")
}

func TestRequestIDs(t *testing.T) {
	a := start(t, newMemory())
	for _, id := range []string{"", "with space", "a/b", strings.Repeat("x", 65), `"`} {
		if got := a.ask(t, "GET", "/", "X-Request-Id", id).header.Get("X-Request-Id"); len(got) != 16 || got == id {
			t.Errorf("%q: got %q", id, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	a := start(t, newMemory())
	for range 3 {
		a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete))
	}
	a.ask(t, "HEAD", exportPath, "Authorization", bearer(t, complete))
	a.ask(t, "GET", exportPath)
	a.ask(t, "GET", exportPath, "Authorization", "Bearer x")
	testrun.Eventually(t, "the last request is counted, which follows its answer", func() bool {
		return samples(t, a)["export_request_duration_seconds"] == 6
	})
	want := `
# HELP export_requests_total Requests answered, by status, 499 where the client left before; where that is 503 by reason: incomplete, position, busy, database or other. Only the last three are an outage.
# TYPE export_requests_total counter
export_requests_total{code="200",reason=""} 4
export_requests_total{code="204",reason=""} 0
export_requests_total{code="206",reason=""} 0
export_requests_total{code="304",reason=""} 0
export_requests_total{code="400",reason=""} 0
export_requests_total{code="401",reason=""} 2
export_requests_total{code="403",reason=""} 0
export_requests_total{code="404",reason=""} 0
export_requests_total{code="405",reason=""} 0
export_requests_total{code="406",reason=""} 0
export_requests_total{code="410",reason=""} 0
export_requests_total{code="412",reason=""} 0
export_requests_total{code="416",reason=""} 0
export_requests_total{code="417",reason=""} 0
export_requests_total{code="429",reason=""} 0
export_requests_total{code="431",reason=""} 0
export_requests_total{code="499",reason=""} 0
export_requests_total{code="500",reason=""} 0
export_requests_total{code="501",reason=""} 0
export_requests_total{code="503",reason="busy"} 0
export_requests_total{code="503",reason="database"} 0
export_requests_total{code="503",reason="incomplete"} 0
export_requests_total{code="503",reason="other"} 0
export_requests_total{code="503",reason="position"} 0
export_requests_total{code="505",reason=""} 0
`
	if err := testutil.GatherAndCompare(a.reg, strings.NewReader(want), "export_requests_total"); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(map[string]uint64{"export_token_failures_total malformed": 1, "export_request_duration_seconds": 6, "export_time_to_first_byte_seconds": 6, "export_response_bytes": 3}, samples(t, a)); d != "" {
		t.Error(d)
	}
	if problems, err := testutil.GatherAndLint(a.reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}
