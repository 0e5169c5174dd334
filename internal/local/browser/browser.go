// Package browser starts a real Chromium for tests: pages are looked at in light and dark
// and at any width, walked through and acted on by the keyboard, held against axe-core, and
// watched for whatever they ask of other hosts or have refused by their policy.
package browser

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"accountexport/internal/local/testrun"
)

// Browser is a Chromium with one page. It is for one goroutine, but for what it logs.
type Browser struct {
	Ctx context.Context // for chromedp

	mu       sync.Mutex
	log      []string // what its console has logged, and exceptions of scripts
	problems []string // what no page should have: exceptions, refused content, dialogs
	requests []string // the addresses of all requests
}

// New starts one, which ends with the test. Without Chromium the test is skipped, or fails
// where CI is set.
func New(t *testing.T) *Browser {
	t.Helper()
	path := testrun.Tool(t, "chromium", "apt-get install chromium")
	flags := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Headless, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute)}
	for _, name := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	bounded, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	allocator, cancel := chromedp.NewExecAllocator(bounded, flags...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel) // waits until the browser has ended
	b := &Browser{Ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			b.note(e.Entry.Text)
			if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork { // an answer that is an error is no problem of the page
				b.problem(e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			text := e.ExceptionDetails.Text
			if e.ExceptionDetails.Exception != nil {
				text += " " + e.ExceptionDetails.Exception.Description
			}
			b.note("exception: " + text)
			b.problem("exception: " + text)
		case *page.EventJavascriptDialogOpening:
			b.problem("a dialog: " + e.Message)
			go b.closeDialog() // the events wait for this function
		case *network.EventRequestWillBeSent:
			b.mu.Lock()
			b.requests = append(b.requests, e.Request.URL)
			b.mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *Browser) note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, text)
}

// Log is what the browser's console has logged.
func (b *Browser) Log() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.log...)
}

// Logged reports whether one line of the browser's console contains all the words.
func (b *Browser) Logged(all ...string) bool {
lines:
	for _, line := range b.Log() {
		for _, words := range all {
			if !strings.Contains(line, words) {
				continue lines
			}
		}
		return true
	}
	return false
}

// Do does actions one after the other, and ends the test where one fails.
func (b *Browser) Do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.Ctx, actions...); err != nil {
		t.Fatalf("in the browser: %v; it says %q", err, b.Log())
	}
}

// Open opens a page.
func (b *Browser) Open(t *testing.T, url string) {
	t.Helper()
	b.Do(t, chromedp.Navigate(url))
}

// Evaluate runs a script in the page, waits for what it promises, and returns that.
func Evaluate[T any](t *testing.T, b *Browser, script string) T {
	t.Helper()
	v, err := chromedp.Run(b.Ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("script: %v; the browser says %q", err, b.Log())
	}
	return v
}

// Eventually waits until a script in the page gives true. While the page is another's
// already, or not there yet, a script gives nothing.
func (b *Browser) Eventually(t *testing.T, what, script string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		holds, err := chromedp.Run(b.Ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise))
		if err == nil && holds {
			return
		}
		if time.Now().After(deadline) || b.Ctx.Err() != nil {
			text, _ := chromedp.Run(b.Ctx, chromedp.Evaluate[string](`document.title + " at " + location + ": " + document.body.innerText.slice(0, 2000)`))
			t.Fatalf("never: %s (%v); the page is %s; the browser says %q", what, err, text, b.Log())
		}
		time.Sleep(20 * time.Millisecond)
	}
}
