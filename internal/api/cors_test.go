package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// words returns the elements of a header that is a list, in lower case.
func words(h http.Header, name string) []string {
	return strings.Split(strings.ToLower(strings.ReplaceAll(h.Get(name), " ", "")), ",")
}

// TestCrossOrigin: pages of an allowed origin may send what SDKs send, and read
// answers, problems included. An allowed origin is named whatever the preflight asks
// for.
func TestCrossOrigin(t *testing.T) {
	const origin = "https://app.example.com"
	a := startWith(t, newMemory(), sharedVerifier(t), func(c *Config) { c.Origins, c.Headers = []string{origin}, []string{"X-Of-Our-Own"} })
	preflight := func(origin, method, headers string) answer {
		return a.ask(t, "OPTIONS", exportPath, "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers)
	}
	for _, asked := range []struct{ method, headers string }{
		{"GET", "authorization"},
		{"GET", "apikey,authorization,baggage,cache-control,content-type,if-none-match,prefer,range,traceparent,tracestate,x-client-info,x-of-our-own"},
		{"GET", "x-nobody-knows"},
		{"DELETE", "authorization"},
		{"GET", ""},
	} {
		got := preflight(origin, asked.method, asked.headers)
		if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != origin || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%v: %d %v", asked, got.status, got.header)
		}
		if allowed := words(got.header, "Access-Control-Allow-Methods"); !slices.Equal(allowed, []string{"get", "head"}) {
			t.Errorf("%v: methods %v", asked, allowed)
		}
		allowed := words(got.header, "Access-Control-Allow-Headers")
		if slices.Contains(allowed, "x-nobody-knows") || slices.Contains(allowed, "*") {
			t.Errorf("%v: headers %v", asked, allowed)
		}
		for _, name := range []string{"authorization", "apikey", "x-client-info", "content-type", "cache-control", "if-none-match", "range", "prefer",
			"traceparent", "tracestate", "baggage", "x-of-our-own"} {
			if !slices.Contains(allowed, name) {
				t.Errorf("%v: %s is not allowed", asked, name)
			}
		}
		if !slices.Contains(words(got.header, "Vary"), "origin") {
			t.Errorf("%v: Vary is %q", asked, got.header.Get("Vary"))
		}
	}
	if got := preflight("https://evil.example", "GET", "authorization"); got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "" ||
		got.header.Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("another origin: %d %v", got.status, got.header)
	}
	got := a.ask(t, "GET", exportPath, "Origin", origin) // a problem is readable too
	if got.status != 401 || got.header.Get("Access-Control-Allow-Origin") != origin || got.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	exposed := words(got.header, "Access-Control-Expose-Headers")
	for _, name := range []string{"etag", "export-position", "export-as-of", "export-parked", "content-range", "retry-after", "x-request-id"} {
		if !slices.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %v", name, exposed)
		}
	}
	if got := a.ask(t, "GET", exportPath, "Origin", "https://evil.example"); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %v", got.header)
	}
	if got := a.ask(t, "OPTIONS", exportPath, "Origin", origin); got.status != 405 {
		t.Errorf("OPTIONS that asks for nothing: %d", got.status)
	}
	none := start(t, newMemory())
	if got := none.ask(t, "OPTIONS", exportPath, "Origin", origin, "Access-Control-Request-Method", "GET"); got.status != 405 {
		t.Errorf("no origins: %d", got.status)
	}
	all := startWith(t, newMemory(), sharedVerifier(t), func(c *Config) { c.Origins = []string{"*"} })
	for _, method := range []string{"OPTIONS", "GET"} {
		if got := all.ask(t, method, exportPath, "Origin", origin, "Access-Control-Request-Method", "GET"); got.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("all origins, %s: %v", method, got.header)
		}
	}
}

// TestAllThatAnswersSayIsReadable: pages may read every header that an answer has
// according to the description.
func TestAllThatAnswersSayIsReadable(t *testing.T) {
	always := []string{"Cache-Control", "Content-Type"} // CORS-safelisted
	n := 0
	for name := range describedHeaders(t) {
		n++
		if !slices.ContainsFunc(slices.Concat(exposedHeaders, always), func(s string) bool { return strings.EqualFold(s, name) }) {
			t.Errorf("%s is in answers, and hidden from pages", name)
		}
	}
	if n < 10 {
		t.Errorf("only %d headers are described", n)
	}
}
