package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/stream"
)

func TestEachLineIsPublishedOnce(t *testing.T) {
	for name, in := range map[string]string{"plain": increments(0, 500, 7), "gzip": gzipped(t, increments(0, 500, 7))} {
		for _, twice := range []bool{true, false} {
			c, _ := provisioned(t)
			opt := Options{Progress: progressPath(t), Lines: 64}
			for run := range 2 {
				sum, err := Run(deadline(t), c, inline(in), twice, opt)
				if err != nil {
					t.Fatal(err)
				}
				want := Summary{Lines: 500, Published: 500, Last: 500, Before: int64(500 * run), Done: 500}
				if diff := cmp.Diff(want, sum); diff != "" {
					t.Errorf("%s, %v, run %d: -want +got:\n%s", name, twice, run, diff)
				}
			}
			if diff := cmp.Diff(lineIDs(0, 500, 7), stored(t, c)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", name, diff)
			}
			if _, err := os.Stat(opt.Progress + ".new"); err == nil {
				t.Error("a temporary file was left")
			}
		}
	}
}

// TestAWrongLine: of a file nothing is published; of a pipe what comes before it
// is. Mended, either goes on.
func TestAWrongLine(t *testing.T) {
	wrong := increments(0, 99, 3) + strings.Replace(increment(99, 3), ":1,", ":-1,", 1) + "\n" + increments(100, 200, 3)
	for _, twice := range []bool{true, false} {
		c, _ := provisioned(t)
		opt := Options{Progress: progressPath(t), Lines: 64}
		sum, err := Run(deadline(t), c, inline(wrong), twice, opt)
		all, one := (*LinesError)(nil), (*LineError)(nil)
		if twice && (!errors.As(err, &all) || all.Count != 1) || !twice && !errors.As(err, &one) {
			t.Errorf("%v: %v", twice, err)
		}
		if !strings.HasPrefix(err.Error(), fmt.Sprintf("line 100 (byte %d): ", len(increments(0, 99, 3)))) || !strings.Contains(err.Error(), "data.sandbox_creates: found -1, want") || !strings.Contains(err.Error(), "--park") {
			t.Errorf("%v: %v", twice, err)
		}
		published := 99
		if twice {
			published = 0
		}
		if sum.Done != int64(published) {
			t.Errorf("%v: %+v", twice, sum)
		}
		if _, err := os.Stat(opt.Progress); (err == nil) == twice {
			t.Errorf("%v: a progress file is there: %v", twice, err)
		}
		sum, err = Run(deadline(t), c, inline(increments(0, 300, 3)), twice, opt) // mended, and longer
		if want := (Summary{Lines: 300, Published: 300, Last: 300, Before: int64(published), Done: 300}); err != nil || sum != want {
			t.Errorf("%v: mended: %+v, %v", twice, sum, err)
		}
		if diff := cmp.Diff(lineIDs(0, 300, 3), stored(t, c)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestParkedLinesArePublishedWhereAskedFor(t *testing.T) {
	c, _ := provisioned(t)
	in := increment(0, 1) + "\n" + strings.Replace(increment(1, 1), ":1,", ":-1,", 1)
	sum, err := Run(deadline(t), c, inline(in), true, Options{Progress: progressPath(t), Park: true})
	if want := (Summary{Lines: 2, Published: 2, Parked: 1, Last: 2, Done: 2}); err != nil || sum != want {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestRepeatedIdsAreRefused(t *testing.T) {
	c, _ := provisioned(t)
	in := increments(0, 100, 3) + increment(7, 3)
	for _, twice := range []bool{true, false} {
		_, err := Run(deadline(t), c, inline(in), twice, Options{Progress: progressPath(t), Lines: 20})
		if err == nil || !strings.Contains(err.Error(), `line 101 (byte`) || !strings.Contains(err.Error(), `id: found "line-7", as in line 8`) {
			t.Errorf("%v: %v", twice, err)
		}
	}
}

// TestAnInterruptedImportGoesOn: ended while a window is published, with what is
// left of it found in the stream, not published twice.
func TestAnInterruptedImportGoesOn(t *testing.T) {
	in := increments(0, 3000, 2)
	for _, twice := range []bool{true, false} {
		c, _ := provisioned(t)
		opt := Options{Progress: progressPath(t), Lines: 500, Grace: time.Millisecond}
		interrupted, found := 0, int64(0)
		for {
			ctx, interrupt := context.WithCancel(deadline(t))
			time.AfterFunc(time.Duration(30+20*interrupted)*time.Millisecond, interrupt)
			sum, err := Run(ctx, c, inline(in), twice, opt)
			interrupt()
			if err == nil {
				found = sum.Found
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			interrupted++
			time.Sleep(110 * time.Millisecond) // the window for duplicates passes
		}
		t.Logf("interrupted %d times, %d found", interrupted, found)
		if interrupted == 0 || found == 0 {
			t.Errorf("interrupted %d times, and %d lines were found to be published", interrupted, found)
		}
		if diff := cmp.Diff(lineIDs(0, 3000, 2), stored(t, c)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// TestAProgressFileIsForOneInputAndStream names what differs.
func TestAProgressFileIsForOneInputAndStream(t *testing.T) {
	c, _ := provisioned(t)
	other, _ := provisioned(t)
	path := progressPath(t)
	in := increments(0, 100, 3)
	if _, err := Run(deadline(t), c, inline(in), true, Options{Progress: path, Name: "history.ndjson"}); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	for name, tc := range map[string]struct {
		client *stream.Client
		in     string
		is     error
		want   string
	}{
		"another input":    {c, increments(1, 101, 3), ErrOtherInput, "is of history.ndjson, up to line 100"},
		"a shorter input":  {c, increments(0, 99, 3), ErrOtherInput, "bytes differ"},
		"no input":         {c, "", ErrOtherInput, "of 0 bytes"},
		"another stream":   {other, in, ErrOtherProgress, "and this one's is"},
		"one edited early": {c, strings.Replace(in, "/old", "/new", 1), ErrOtherInput, "Nothing was published"},
	} {
		for _, twice := range []bool{true, false} {
			if _, err := Run(deadline(t), tc.client, inline(tc.in), twice, Options{Progress: path}); !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s, %v: %v", name, twice, err)
			}
		}
	}
	if after := read(t, path); strings.Split(after, "written")[0] != strings.Split(before, "written")[0] {
		t.Errorf("the progress file became\n%s", after)
	}
	if n := len(stored(t, other)); n > 0 {
		t.Errorf("%d subjects of the other stream have messages", n)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(deadline(t), c, inline(in), true, Options{Progress: path}); !errors.Is(err, ErrOtherProgress) {
		t.Errorf("a file of something else: %v", err)
	}
}

// TestTheWindowUnderWayMayNotChange: its lines may be published already.
func TestTheWindowUnderWayMayNotChange(t *testing.T) {
	c, srv := provisioned(t)
	path := progressPath(t)
	in := increments(0, 100, 1)
	// What has been asked for is checked, noted, and then not all of it has room.
	limitMessages(t, srv.URL(), 50)
	if _, err := Run(deadline(t), c, inline(in), true, Options{Progress: path, ProgressTimeout: 300 * time.Millisecond}); err == nil {
		t.Fatal("all was published to a stream that has room for half of it")
	}
	if after := read(t, path); !strings.Contains(after, `"window": {`) {
		t.Fatalf("no window is under way: %s", after)
	}
	limitMessages(t, srv.URL(), -1)
	for _, twice := range []bool{true, false} {
		changed := strings.Replace(in, "/old", "/new", 1)
		if _, err := Run(deadline(t), c, inline(changed), twice, Options{Progress: path}); !errors.Is(err, ErrOtherInput) {
			t.Errorf("%v: %v", twice, err)
		}
		if _, err := Run(deadline(t), c, inline(increments(0, 50, 1)), twice, Options{Progress: path}); !errors.Is(err, ErrOtherInput) {
			t.Errorf("%v: cut short: %v", twice, err)
		}
	}
	if _, err := Run(deadline(t), c, inline(in), true, Options{Progress: path}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lineIDs(0, 100, 1), stored(t, c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// limitMessages has the stream refuse what is beyond so many messages.
func limitMessages(t *testing.T, url string, n int64) {
	t.Helper()
	updateStream(t, url, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = n, jetstream.DiscardNew })
}

func TestTwoImportsExcludeEachOther(t *testing.T) {
	c, _ := provisioned(t)
	path := progressPath(t)
	in, feed := io.Pipe()
	first := make(chan error, 1)
	ctx := deadline(t)
	go func() {
		_, err := Run(ctx, c, func() (io.ReadCloser, error) { return in, nil }, false, Options{Progress: path, Lines: 5})
		first <- err
	}()
	for n := range 20 {
		if _, err := io.WriteString(feed, increments(n*10, n*10+10, 2)); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(ctx, c, inline(increments(0, 200, 2)), true, Options{Progress: path}); !errors.Is(err, ErrBusy) {
			t.Fatalf("a second one: %v", err)
		}
	}
	feed.Close()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(lineIDs(0, 200, 2), stored(t, c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestASymbolicLinkIsFollowed: to a progress file that is not there yet, and to one that
// is. By either name the import goes on.
func TestASymbolicLinkIsFollowed(t *testing.T) {
	c, _ := provisioned(t)
	file := progressPath(t)
	link := filepath.Join(t.TempDir(), "link")
	relative, err := filepath.Rel(filepath.Dir(link), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(relative, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, file, link} {
		if _, err := Run(deadline(t), c, inline(increments(0, 20, 3)), true, Options{Progress: path}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(110 * time.Millisecond) // the window for duplicates passes
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the link became %v: %v", info.Mode(), err)
		}
	}
	if diff := cmp.Diff(lineIDs(0, 20, 3), stored(t, c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := os.Symlink("loop", filepath.Join(filepath.Dir(link), "loop")); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(deadline(t), c, inline(""), true, Options{Progress: filepath.Join(filepath.Dir(link), "loop")}); err == nil || !strings.Contains(err.Error(), "lead to one another") {
		t.Errorf("links in a circle: %v", err)
	}
}

// TestWithoutProgressNothingIsPublished: no permission, no folder, no space.
func TestWithoutProgressNothingIsPublished(t *testing.T) {
	c, _ := provisioned(t)
	full := progressPath(t)
	if err := os.MkdirAll(full+".new/of somebody", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ path, want string }{
		"no folder":     {t.TempDir() + "/none/progress", "no such file"},
		"a folder":      {t.TempDir(), "is a directory"},
		"no plain file": {"/dev/null", "no plain file"},
		"no room":       {full, "file exists"},
	} {
		_, err := Run(deadline(t), c, inline(increments(0, 10, 1)), true, Options{Progress: tc.path})
		if err == nil || !strings.HasPrefix(err.Error(), "progress file") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(stored(t, c)); n > 0 {
		t.Error("something was published")
	}
}

// TestMemoryIsBounded: many lines go through without being kept.
func TestMemoryIsBounded(t *testing.T) {
	lines := 300_000
	if os.Getenv("LONG") != "" {
		lines = 5_000_000
	}
	generated := func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			for n := range lines {
				if _, err := io.WriteString(w, increment(n, 50_000)+"\n"); err != nil {
					return
				}
			}
			w.Close()
		}()
		return r, nil
	}
	in, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	most := uint64(0)
	sum, err := Check(deadline(t), in, Options{OnProgress: func(s Status) {
		if s.Lines%65536 < 1024 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}})
	if err != nil || sum.Lines != int64(lines) {
		t.Fatalf("%+v, %v", sum, err)
	}
	t.Logf("%d lines with at most %d MiB", lines, most>>20)
	if most > 96<<20 {
		t.Errorf("%d MiB were held", most>>20)
	}
}
