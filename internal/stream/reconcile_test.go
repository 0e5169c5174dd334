package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/natsserver"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// restarted stops the server, changes its files, and starts it again.
func restarted(ctx context.Context, t *testing.T, c *Client, srv *natsserver.Server, meanwhile func(blocks []string)) {
	t.Helper()
	srv.Halt()
	blocks, err := filepath.Glob(filepath.Join(srv.Dir(), "jetstream", "*", "streams", "CONTROL_PLANE", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("blocks %v, %v", blocks, err)
	}
	if meanwhile != nil {
		meanwhile(blocks)
	}
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	for ; ; time.Sleep(20 * time.Millisecond) {
		if _, err := c.Info(ctx); err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("the server does not answer")
		}
	}
}

// flip flips one bit of the text in one of the files.
func flip(t *testing.T, blocks []string, text string) {
	t.Helper()
	for _, name := range blocks {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			b[i] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in none of %v", text, blocks)
}

// TestGoneIsWhatIsMissing: the list of deleted positions is as long as the counts
// say, and holds exactly the ones removed.
func TestGoneIsWhatIsMissing(t *testing.T) {
	ctx := deadline(t)
	c, srv := provisioned(t)
	want := func(when, positions string) {
		t.Helper()
		info, deleted, err := c.Deleted(ctx)
		if err != nil || deleted.String() != positions || deleted.Count() != info.Missing() {
			t.Errorf("%s: %v are gone and %d missing, %v; want %s", when, deleted, info.Missing(), err, positions)
		}
	}
	want("empty", "")
	publishNotes(ctx, t, c, 1, 100)
	want("whole", "")
	s, err := c.js.Stream(ctx, "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []uint64{20, 21, 22, 50, 100} {
		if deleted, err := c.DeleteMessage(ctx, p); err != nil || !deleted {
			t.Fatal(deleted, err)
		}
	}
	want("some removed", "20–22, 50, 100")
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(11)); err != nil {
		t.Fatal(err)
	}
	want("and the beginning", "1–10, 20–22, 50, 100")
	restarted(ctx, t, c, srv, nil)
	want("restarted", "1–10, 20–22, 50, 100")
	if err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	want("all", "1–100")
	publishNotes(ctx, t, c, 101, 102)
	want("and more", "1–100")
}

// TestReadAndGoneMakeUpTheSpan: the messages read, the positions counted as deleted
// and those reported as undelivered together are all positions, each once, wherever
// reading begins: with bits flipped at the beginning, beside removed messages and at
// the end, before and after a restart.
func TestReadAndGoneMakeUpTheSpan(t *testing.T) {
	ctx := deadline(t)
	c, srv := provisioned(t)
	publishNotes(ctx, t, c, 1, 300)
	for _, p := range []uint64{100, 102, 200, 201} {
		if _, err := c.DeleteMessage(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	const flipped = "1, 101, 299–300"
	restarted(ctx, t, c, srv, func(blocks []string) {
		for _, n := range []int{101, 299, 300} {
			flip(t, blocks, fmt.Sprintf("message %d", n))
		}
		flip(t, blocks, "message 1") // the first one
	})
	for _, when := range []string{"after one restart", "after another"} {
		for _, after := range []uint64{0, 99, 299} {
			var reported engine.Ranges
			r := &ReconcilingSource{Client: c, backoff: time.Millisecond, OnUndelivered: func(_ context.Context, those engine.Ranges) error {
				reported = reported.Union(those)
				return nil
			}}
			info, deleted, err := c.Deleted(ctx)
			if err != nil {
				t.Fatal(err)
			}
			read := readAll(ctx, t, r, after)
			span := engine.Ranges{{First: after + 1, Last: info.Last}}
			if left := span.Without(read).Without(deleted).Without(reported); len(left) > 0 {
				t.Errorf("%s, after %d: %v are not accounted for", when, after, left)
			}
			if sum := read.Count() + span.Count() - span.Without(deleted).Count() + reported.Count(); sum != span.Count() {
				t.Errorf("%s, after %d: %d are read, gone or told of, of %d", when, after, sum, span.Count())
			}
			if after == 0 && reported.String() != flipped {
				t.Errorf("%s: told of %v, want %s", when, reported, flipped)
			}
		}
		restarted(ctx, t, c, srv, nil)
	}
}

// readAll reads as the engine does: until the source reports that no message is left.
func readAll(ctx context.Context, t *testing.T, source engine.Source, after uint64) engine.Ranges {
	t.Helper()
	reader, err := source.Open(ctx, after)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var positions []uint64
	for {
		_, more, err := source.FirstAfter(ctx, after)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return engine.RangesOf(positions...)
		}
		got, err := reader.Next(ctx, nil, bound)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got {
			positions, after = append(positions, m.Position), m.Position
		}
	}
}

// TestReadingEndsBeforeWhatIsNotDelivered: where OnUndelivered refuses, the messages
// before the gap are handed out and none behind it, however often Next is called. A
// context that ends while the gap is judged loses nothing.
func TestReadingEndsBeforeWhatIsNotDelivered(t *testing.T) {
	ctx := deadline(t)
	c, srv := provisioned(t)
	publishNotes(ctx, t, c, 1, 20)
	restarted(ctx, t, c, srv, func(blocks []string) { flip(t, blocks, "message 10") })
	refused := errors.New("refused")
	patient, end := context.WithCancel(ctx)
	asked, ended := 0, make(chan struct{})
	r := &ReconcilingSource{Client: c, backoff: time.Millisecond, OnUndelivered: func(ctx context.Context, those engine.Ranges) error {
		asked++
		end()
		<-ended
		return ctx.Err()
	}}
	reader, err := r.Open(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []uint64
	for len(got) < 19 {
		using := patient
		if patient.Err() != nil {
			using = ctx
		}
		messages, err := reader.Next(using, nil, bound)
		if err != nil && (using != patient || !errors.Is(err, context.Canceled)) {
			t.Fatal(err)
		}
		if err != nil {
			close(ended)
		}
		for _, m := range messages {
			got = append(got, m.Position)
		}
	}
	var want []uint64
	for p := uint64(1); p <= 20; p++ {
		if p != 10 {
			want = append(want, p)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || asked != 1 {
		t.Errorf("asked %d times: -want +got:\n%s", asked, diff)
	}

	r = &ReconcilingSource{Client: c, backoff: time.Millisecond, OnUndelivered: func(context.Context, engine.Ranges) error { return refused }}
	if reader, err = r.Open(ctx, 0); err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	last := uint64(0)
	for err == nil {
		var messages []projections.Message
		messages, err = reader.Next(ctx, nil, bound)
		for _, m := range messages {
			last = m.Position
		}
	}
	if _, again := reader.Next(ctx, nil, bound); last != 9 || !errors.Is(err, refused) || !errors.Is(again, refused) {
		t.Errorf("read up to %d, %v, and then %v", last, err, again)
	}
}
