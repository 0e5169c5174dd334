package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"

	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
)

// browser is a Chromium with the console messages it has logged.
type browser struct {
	ctx context.Context
	mu  sync.Mutex
	log []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := testrun.Tool(t, "chromium", "apt-get install chromium")
	flags := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Headless, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute)}
	for _, name := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	bounded, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	allocator, cancel := chromedp.NewExecAllocator(bounded, flags...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel) // waits until the browser has ended
	b := &browser{ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*log.EventEntryAdded); ok {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.log = append(b.log, e.Entry.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// logged reports whether one line of the browser's console contains all the words.
func (b *browser) logged(all ...string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
lines:
	for _, line := range b.log {
		for _, words := range all {
			if !strings.Contains(line, words) {
				continue lines
			}
		}
		return true
	}
	return false
}

func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
}

// seen is what a page can see of an answer.
type seen struct {
	Failed  string // the error that fetch was rejected with
	Status  int
	Body    string
	Headers map[string]string
}

func (b *browser) fetch(t *testing.T, url, options string) seen {
	t.Helper()
	script := fmt.Sprintf(`fetch(%q, %s).then(
async r => ({Status: r.status, Body: await r.text(), Headers: Object.fromEntries(r.headers)}), e => ({Failed: String(e)}))`, url, options)
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[seen](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBrowserReadsFromAnotherOrigin is a page of another origin in a real browser. It
// sends what SDKs send, and reads documents, problems and their headers. Where CORS
// refuses a request, the browser names the header that was refused, and not the
// origin.
func TestBrowserReadsFromAnotherOrigin(t *testing.T) {
	b := newBrowser(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>an app</title><link rel=icon href=data:,>")
	}))
	defer page.Close()
	a := startWith(t, export.NewReader(database(t)), sharedVerifier(t), func(c *Config) {
		c.Origins, c.Headers = []string{page.URL}, []string{"X-Tenant"}
	})
	url, token := a.url+exportPath, bearer(t, complete)
	b.open(t, page.URL)

	sdk := `{headers: {Authorization: '` + token + `', apikey: 'sb_publishable_x', 'X-Client-Info': 'supabase-js-web/2.90.0', 'Content-Type': 'application/json',
'Cache-Control': 'no-cache', Prefer: 'wait=1', 'X-Tenant': 'x', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'a=b', baggage: 'a=b'}}`
	got := b.fetch(t, url, sdk)
	if got.Status != 200 || !strings.Contains(got.Body, `"sandboxes":[`+sandboxJSON) {
		t.Fatalf("as an SDK asks: %+v; the browser says %q", got, b.log)
	}
	for _, name := range []string{"etag", "export-position", "export-as-of", "content-disposition", "x-request-id"} {
		if got.Headers[name] == "" {
			t.Errorf("the page cannot read %s: %v", name, got.Headers)
		}
	}
	with := func(header string) string {
		return `{cache: 'no-store', headers: {Authorization: '` + token + `', ` + header + `}}`
	}
	if again := b.fetch(t, url, with(`'If-None-Match': '`+got.Headers["etag"]+`'`)); again.Status != 304 {
		t.Errorf("its tag: %+v; the browser says %q", again, b.log)
	}
	if part := b.fetch(t, url, with(`Range: 'bytes=0-9', 'If-Range': '"another"'`)); part.Status != 200 {
		t.Errorf("a range of another version: %+v", part)
	}
	if part := b.fetch(t, url, with(`Range: 'bytes=0-9'`)); part.Status != 206 || len(part.Body) != 10 || !strings.HasPrefix(part.Headers["content-range"], "bytes 0-9/") {
		t.Errorf("a range: %+v; the browser says %q", part, b.log)
	}
	if none := b.fetch(t, url, `{}`); none.Status != 401 || none.Headers["www-authenticate"] != "Bearer" || !strings.Contains(none.Body, "no-credentials") {
		t.Errorf("without a token: %+v", none)
	}
	if wait := b.fetch(t, url, `{headers: {Authorization: '`+bearer(t, incomplete)+`'}}`); wait.Status != 503 || wait.Headers["retry-after"] == "" {
		t.Errorf("of an incomplete account: %+v", wait)
	}

	if refused := b.fetch(t, url, with(`'X-Nobody-Knows': '1'`)); refused.Failed == "" {
		t.Errorf("with a header that is not allowed: %+v", refused)
	}
	testrun.Eventually(t, "the browser names the header that was refused", func() bool {
		return b.logged("has been blocked by CORS policy", "x-nobody-knows", "Access-Control-Allow-Headers")
	})
	if refused := b.fetch(t, url, `{method: 'DELETE', headers: {Authorization: '`+token+`'}}`); refused.Failed == "" {
		t.Errorf("DELETE: %+v", refused)
	}
	testrun.Eventually(t, "the browser names the method that was refused", func() bool {
		return b.logged("has been blocked by CORS policy", "DELETE", "Access-Control-Allow-Methods")
	})
	if b.logged("Access-Control-Allow-Origin") {
		t.Errorf("the browser blames the origin: %q", b.log)
	}

	b.open(t, strings.Replace(page.URL, "127.0.0.1", "localhost", 1)) // another origin, which is not allowed
	if refused := b.fetch(t, url, sdk); refused.Failed == "" {
		t.Errorf("from an origin that is not allowed: %+v", refused)
	}
	testrun.Eventually(t, "the browser names the origin", func() bool { return b.logged("blocked by CORS policy", "Access-Control-Allow-Origin") })
}
