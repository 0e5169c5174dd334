package browser

import (
	"context"
	"net/url"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Strict fails the test at its end where a page has asked any host for something but the
// given ones, where a script has thrown, a policy has refused content, or a dialog was
// opened. It counts from now on.
func (b *Browser) Strict(t *testing.T, hosts ...string) {
	t.Helper()
	b.mu.Lock()
	b.problems, b.requests = nil, nil
	b.mu.Unlock()
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range once(b.problems) {
			t.Errorf("in the browser: %s", p)
		}
		if len(b.requests) == 0 {
			t.Error("the browser has asked for nothing")
		}
		allowed := map[string]bool{}
		for _, h := range hosts {
			allowed[h] = true
		}
		for _, request := range once(b.requests) {
			u, err := url.Parse(request)
			if err != nil || u.Scheme != "data" && u.Scheme != "about" && !allowed[u.Host] {
				t.Errorf("the browser has asked for %s", request)
			}
		}
	})
}

// once is a list with each text of it once, sorted.
func once(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

func (b *Browser) problem(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

func (b *Browser) closeDialog() {
	_, _ = chromedp.Run(b.Ctx, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
	})
}
