package browser

import (
	"bytes"
	"context"
	"image"
	_ "image/png" // to read the size of what the browser writes
	"os"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Look is how a page is looked at.
type Look struct {
	Width, Height int64
	Dark          bool // the reader prefers dark colours
}

// Show has pages be looked at like that, from now on. Nothing moves in them but what has
// to, so that pictures of the same are the same.
func (b *Browser) Show(t *testing.T, l Look) {
	t.Helper()
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	b.Do(t, chromedp.EmulateViewport(l.Width, l.Height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	}))
}

// Screenshot writes a picture of what is seen to a file, as PNG.
func (b *Browser) Screenshot(t *testing.T, path string) {
	t.Helper()
	picture, err := chromedp.Run(b.Ctx, func(ctx context.Context, t *chromedp.Target) (page.CaptureScreenshotResult, error) {
		return cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng})
	})
	if err != nil {
		t.Fatalf("a picture: %v", err)
	}
	if _, kind, err := image.DecodeConfig(bytes.NewReader(picture.Data)); err != nil || kind != "png" {
		t.Fatalf("the picture is no PNG: %s, %v", kind, err)
	}
	if err := os.WriteFile(path, picture.Data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sideways is by how many pixels a page can be scrolled sideways, and what sticks out;
// 0 and nothing where it cannot.
func (b *Browser) Sideways(t *testing.T) (pixels int, what []string) {
	t.Helper()
	found := Evaluate[struct {
		Pixels int
		What   []string
	}](t, b, sideways)
	return found.Pixels, found.What
}

// sideways names the elements that stick out and are not within one that scrolls by itself.
const sideways = `(() => {
  const width = document.documentElement.clientWidth;
  const pixels = Math.max(document.scrollingElement.scrollWidth, document.body.scrollWidth) - width;
  if (pixels <= 0) return {Pixels: 0, What: []};
  const clipped = (e) => {
    for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== "visible") return true;
    return false;
  };
  const what = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > width + 1 && !clipped(e))
    .slice(0, 8).map((e) => e.outerHTML.slice(0, 150));
  return {Pixels: pixels, What: what};
})()`
