package api

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"accountexport/internal/local/browser"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
)

// seen is what a page can see of an answer.
type seen struct {
	Failed  string // the error that fetch was rejected with
	Status  int
	Body    string
	Headers map[string]string
}

func fetch(t *testing.T, b *browser.Browser, url, options string) seen {
	t.Helper()
	script := fmt.Sprintf(`fetch(%q, %s).then(
async r => ({Status: r.status, Body: await r.text(), Headers: Object.fromEntries(r.headers)}), e => ({Failed: String(e)}))`, url, options)
	return browser.Evaluate[seen](t, b, script)
}

// TestBrowserReadsFromAnotherOrigin is a page of another origin in a real browser. It
// sends what SDKs send, and reads documents, problems and their headers. Where CORS
// refuses a request, the browser names the header that was refused, and not the
// origin.
func TestBrowserReadsFromAnotherOrigin(t *testing.T) {
	b := browser.New(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>an app</title><link rel=icon href=data:,>")
	}))
	defer page.Close()
	a := startWith(t, export.NewReader(database(t)), sharedVerifier(t), func(c *Config) {
		c.Origins, c.Headers = []string{page.URL}, []string{"X-Tenant"}
	})
	url, token := a.url+exportPath, bearer(t, complete)
	b.Open(t, page.URL)

	sdk := `{headers: {Authorization: '` + token + `', apikey: 'sb_publishable_x', 'X-Client-Info': 'supabase-js-web/2.90.0', 'Content-Type': 'application/json',
'Cache-Control': 'no-cache', Prefer: 'wait=1', 'X-Tenant': 'x', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'a=b', baggage: 'a=b'}}`
	got := fetch(t, b, url, sdk)
	if got.Status != 200 || !strings.Contains(got.Body, `"sandboxes":[`+sandboxJSON) {
		t.Fatalf("as an SDK asks: %+v; the browser says %q", got, b.Log())
	}
	for _, name := range []string{"etag", "export-position", "export-as-of", "content-disposition", "x-request-id"} {
		if got.Headers[name] == "" {
			t.Errorf("the page cannot read %s: %v", name, got.Headers)
		}
	}
	with := func(header string) string {
		return `{cache: 'no-store', headers: {Authorization: '` + token + `', ` + header + `}}`
	}
	if again := fetch(t, b, url, with(`'If-None-Match': '`+got.Headers["etag"]+`'`)); again.Status != 304 {
		t.Errorf("its tag: %+v; the browser says %q", again, b.Log())
	}
	if part := fetch(t, b, url, with(`Range: 'bytes=0-9', 'If-Range': '"another"'`)); part.Status != 200 {
		t.Errorf("a range of another version: %+v", part)
	}
	if part := fetch(t, b, url, with(`Range: 'bytes=0-9'`)); part.Status != 206 || len(part.Body) != 10 || !strings.HasPrefix(part.Headers["content-range"], "bytes 0-9/") {
		t.Errorf("a range: %+v; the browser says %q", part, b.Log())
	}
	if none := fetch(t, b, url, `{}`); none.Status != 401 || none.Headers["www-authenticate"] != "Bearer" || !strings.Contains(none.Body, "no-credentials") {
		t.Errorf("without a token: %+v", none)
	}
	if wait := fetch(t, b, url, `{headers: {Authorization: '`+bearer(t, incomplete)+`'}}`); wait.Status != 503 || wait.Headers["retry-after"] == "" {
		t.Errorf("of an incomplete account: %+v", wait)
	}

	if refused := fetch(t, b, url, with(`'X-Nobody-Knows': '1'`)); refused.Failed == "" {
		t.Errorf("with a header that is not allowed: %+v", refused)
	}
	testrun.Eventually(t, "the browser names the header that was refused", func() bool {
		return b.Logged("has been blocked by CORS policy", "x-nobody-knows", "Access-Control-Allow-Headers")
	})
	if refused := fetch(t, b, url, `{method: 'DELETE', headers: {Authorization: '`+token+`'}}`); refused.Failed == "" {
		t.Errorf("DELETE: %+v", refused)
	}
	testrun.Eventually(t, "the browser names the method that was refused", func() bool {
		return b.Logged("has been blocked by CORS policy", "DELETE", "Access-Control-Allow-Methods")
	})
	if b.Logged("Access-Control-Allow-Origin") {
		t.Errorf("the browser blames the origin: %q", b.Log())
	}

	b.Open(t, strings.Replace(page.URL, "127.0.0.1", "localhost", 1)) // another origin, which is not allowed
	if refused := fetch(t, b, url, sdk); refused.Failed == "" {
		t.Errorf("from an origin that is not allowed: %+v", refused)
	}
	testrun.Eventually(t, "the browser names the origin", func() bool { return b.Logged("blocked by CORS policy", "Access-Control-Allow-Origin") })
}
