package importer

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// reconfigure changes the stream's settings, as an operator would.
func reconfigure(t testing.TB, url string, change func(*jetstream.StreamConfig)) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(deadline(t), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	change(&cfg)
	if _, err := js.UpdateStream(deadline(t), cfg); err != nil {
		t.Fatal(err)
	}
	return js
}

// begun makes a finished import's progress that of one that was killed in its first
// window, with every line published and none noted.
func begun(t testing.TB, path string) {
	t.Helper()
	f, err := openProgress(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	now := progress{Input: f.now.Input, Stream: f.now.Stream, Mark: f.now.Mark, Window: &window{f.now.Done, f.now.Mark}}
	f.now = now
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
}

// TestALineThatTheServerRefusesMayBeMended: in the middle of a window the server takes
// all but some lines. What comes before the first of them is done; mended, the file
// goes on, in whatever way its lines have changed between, and publishes none twice.
func TestALineThatTheServerRefusesMayBeMended(t *testing.T) {
	in := increments(0, 200, 5)
	long := func(n int) string {
		return strings.Replace(increment(n, 5), `"/old"`, `"/old`+strings.Repeat("x", 2000)+`"`, 1)
	}
	for _, twice := range []bool{true, false} {
		for _, wrong := range [][]int{{50}, {50, 51, 120}, {0}, {199}, {3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22}} {
			t.Run(fmt.Sprint(twice, wrong), func(t *testing.T) {
				c, srv := provisioned(t)
				opt := Options{Progress: progressPath(t)}
				bad := in
				for _, n := range wrong {
					bad = strings.Replace(bad, increment(n, 5), long(n), 1)
				}
				opened := 0
				open := func() (io.ReadCloser, error) {
					if opened++; opened == 2 || !twice { // the stream takes less only once the lines are checked
						reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = 1500 })
					}
					return inline(bad)()
				}
				sum, err := Run(deadline(t), c, open, twice, opt)
				one := (*LineError)(nil)
				if !errors.As(err, &one) || one.Line != int64(wrong[0]+1) || sum.Done != int64(wrong[0]) {
					t.Fatalf("done %d: %v", sum.Done, err)
				}
				if _, err := Run(deadline(t), c, inline(bad), twice, opt); !errors.As(err, &one) && !errors.As(err, new(*LinesError)) {
					t.Errorf("as it was: %v", err)
				}
				time.Sleep(110 * time.Millisecond) // the window for duplicates passes
				mended := strings.Replace(in, increment(wrong[0], 5)+"\n", "\n\n"+increment(1000, 5)+"\n"+increment(wrong[0], 5)+"\n", 1)
				sum, err = Run(deadline(t), c, inline(mended), twice, opt)
				if err != nil || sum.Lines != 201 {
					t.Fatalf("mended: %+v, %v", sum, err)
				}
				got, n := stored(t, c), 0
				for _, ids := range got {
					n += len(ids)
				}
				if n != 201 {
					t.Errorf("%d messages are in the stream, want 201", n)
				}
				subject := "controlplane.account." + account(0)
				want := lineIDs(0, 200, 5)
				for s := range want {
					if s == subject {
						continue // the line that came between has its place there
					}
					if diff := cmp.Diff(want[s], got[s]); diff != "" {
						t.Errorf("%s: -want +got:\n%s", s, diff)
					}
				}
			})
		}
	}
}

// TestAnIdOfAnotherMessageMayBeMended: the server drops a line as a retry of what
// somebody else has lately published.
func TestAnIdOfAnotherMessageMayBeMended(t *testing.T) {
	c, srv := provisioned(t)
	js := reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.Duplicates = time.Minute })
	if _, err := js.PublishMsg(deadline(t), &nats.Msg{Subject: "controlplane.account." + account(50), Data: []byte("{}"), Header: nats.Header{"Nats-Msg-Id": {"line-50"}}}); err != nil {
		t.Fatal(err)
	}
	opt := Options{Progress: progressPath(t)}
	in := increments(0, 100, 3)
	sum, err := Run(deadline(t), c, inline(in), true, opt)
	if err == nil || sum.Done != 50 || !strings.Contains(err.Error(), "line 51 (byte ") || !strings.Contains(err.Error(), "each event needs an id of its own") {
		t.Fatalf("%+v, %v", sum, err)
	}
	reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.Duplicates = 100 * time.Millisecond })
	changed := strings.Replace(in, `"line-51","source":"/old"`, `"line-51","source":"/new"`, 1)
	if _, err := Run(deadline(t), c, inline(strings.Replace(changed, `"line-50"`, `"mended"`, 1)), true, opt); err == nil || !strings.Contains(err.Error(), `line 52 (byte `) || !strings.Contains(err.Error(), "published already") {
		t.Errorf("a line behind it that is published already has changed: %v", err)
	}
	sum, err = Run(deadline(t), c, inline(strings.Replace(in, `"line-50"`, `"mended"`, 1)), true, opt)
	if err != nil || sum.Lines != 100 {
		t.Fatalf("%+v, %v", sum, err)
	}
	want := lineIDs(0, 100, 3)
	mended := want["controlplane.account."+account(50%3)]
	for i := range mended {
		mended[i] = strings.Replace(mended[i], "line-50", "mended", 1)
	}
	got := stored(t, c)
	delete(got, "controlplane.account."+account(50))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestWhatIsTooLargeIsRefusedBeforeAnythingIsPublished: for the stream, and for the
// header of any message.
func TestWhatIsTooLargeIsRefusedBeforeAnythingIsPublished(t *testing.T) {
	c, srv := provisioned(t)
	reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = 100_000 })
	header := strings.Replace(increments(0, 20, 3), `"line-10"`, `"`+strings.Repeat("x", 70_000)+`"`, 1)
	if _, err := Check(deadline(t), strings.NewReader(header), Options{}); err == nil || !strings.Contains(err.Error(), "line 11 (byte ") || !strings.Contains(err.Error(), "at most 65535") {
		t.Errorf("--dry-run: %v", err)
	}
	message := strings.Replace(increments(0, 20, 3), `"/old"`, `"/old`+strings.Repeat("x", 100_000)+`"`, 1)
	for name, tc := range map[string]struct{ in, want string }{
		"a header":  {header, "at most 65535, as JetStream has it"},
		"a message": {message, "at most 100000, the stream's max_msg_size"},
	} {
		if _, err := Run(deadline(t), c, inline(tc.in), true, Options{Progress: progressPath(t)}); !errors.As(err, new(*LinesError)) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(stored(t, c)); n > 0 {
		t.Errorf("%d subjects have messages", n)
	}
}

// TestAWindowThatWasBegunWithParkGoesOnWithoutIt: its lines may be published already.
func TestAWindowThatWasBegunWithParkGoesOnWithoutIt(t *testing.T) {
	for _, twice := range []bool{true, false} {
		c, _ := provisioned(t)
		opt := Options{Progress: progressPath(t), Park: true}
		in := increments(0, 100, 2) + strings.Replace(increment(100, 2), ":1,", ":-1,", 1) + "\n"
		if _, err := Run(deadline(t), c, inline(in), twice, opt); err != nil {
			t.Fatal(err)
		}
		begun(t, opt.Progress)
		time.Sleep(110 * time.Millisecond) // the window for duplicates passes
		opt.Park = false
		sum, err := Run(deadline(t), c, inline(in), twice, opt)
		if want := (Summary{Lines: 101, Found: 101, Parked: 1, Last: 101, Done: 101}); err != nil || sum != want {
			t.Errorf("%v: %+v, %v", twice, sum, err)
		}
		if diff := cmp.Diff(lineIDs(0, 101, 2), stored(t, c)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
