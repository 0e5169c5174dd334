package stream

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/projections"
	"accountexport/projections/engine"
)

func TestReadingIsInOrderAndCompleteWhilePublishingGoesOn(t *testing.T) {
	ctx := deadline(t)
	c, srv := provisioned(t)
	n := 6000
	if testrun.Long() {
		n = 100_000
	}
	publishNotes(ctx, t, c, 1, n/2)
	done := make(chan error, 1)
	go func() {
		next := n / 2
		_, err := connect(t, srv).PublishAll(ctx, func() (events.Message, bool) {
			next++
			return note(next), next <= n
		})
		done <- err
	}()
	got := readUpTo(ctx, t, open(ctx, t, c, 0), uint64(n))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(got) != n {
		t.Fatalf("read %d messages, want %d", len(got), n)
	}
	for i, m := range got {
		want := note(i + 1)
		if m.Position != uint64(i+1) || m.Subject != want.Subject || string(m.Data) != string(want.Data) {
			t.Fatalf("message %d: position %d, %s %q; want %s %q", i+1, m.Position, m.Subject, m.Data, want.Subject, want.Data)
		}
		if m.Partition < 0 || m.Partition > 15 || m.Time.IsZero() {
			t.Fatalf("message %d: partition %d, time %v", i+1, m.Partition, m.Time)
		}
	}
}

func TestReadingBeginsRightAfterThePosition(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 10)
	got := readUpTo(ctx, t, open(ctx, t, c, 7), 10)
	if diff := cmp.Diff([]uint64{8, 9, 10}, positions(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestBounds(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 100)
	size := (&projections.Message{Message: note(1)}).Size()
	for _, tc := range []struct {
		name  string
		bound engine.Bound
		most  int
	}{
		{"events", engine.Bound{Events: 7, Bytes: 1 << 20}, 7},
		{"bytes", engine.Bound{Events: 1000, Bytes: 3 * size}, 3},
		{"at least one", engine.Bound{}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := open(ctx, t, c, 0)
			var all []projections.Message
			for len(all) < 100 {
				before := len(all)
				var err error
				if all, err = r.Next(ctx, all, tc.bound); err != nil {
					t.Fatal(err)
				}
				if n := len(all) - before; n < 1 || n > tc.most {
					t.Fatalf("one call returned %d messages, want 1 to %d", n, tc.most)
				}
			}
			for i, p := range positions(all) {
				if p != uint64(i+1) {
					t.Fatalf("position %d at %d", p, i)
				}
			}
		})
	}
}

func TestRemovedMessagesAreGaps(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 500)
	s, err := c.js.Stream(ctx, "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSubject("controlplane.*.account."+account(3).String())); err != nil {
		t.Fatal(err)
	}
	var want []uint64
	for n := 1; n <= 500; n++ {
		if n%50 != 3 {
			want = append(want, uint64(n))
		}
	}
	got := readUpTo(ctx, t, open(ctx, t, c, 0), 500)
	if diff := cmp.Diff(want, positions(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, tc := range []struct {
		after, want uint64
		ok          bool
	}{{2, 4, true}, {3, 4, true}, {4, 5, true}, {499, 500, true}, {500, 0, false}, {9000, 0, false}} {
		got, ok, err := c.FirstAfter(ctx, tc.after)
		if got != tc.want || ok != tc.ok || err != nil {
			t.Errorf("First(%d) = %d, %t, %v; want %d, %t", tc.after, got, ok, err, tc.want, tc.ok)
		}
	}
	if _, err := c.Get(ctx, 3); !errors.Is(err, ErrNoMessage) {
		t.Errorf("Get of a removed message: %v", err)
	}
}

func TestAReaderAtTheEndWaits(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 5)
	r := open(ctx, t, c, 5)
	got := make(chan []projections.Message, 1)
	go func() {
		ms, err := r.Next(ctx, nil, bound)
		if err != nil {
			t.Error(err)
		}
		got <- ms
	}()
	select {
	case ms := <-got:
		t.Fatalf("read %v from beyond the end", positions(ms))
	default:
	}
	publishNotes(ctx, t, c, 6, 6)
	if diff := cmp.Diff([]uint64{6}, positions(<-got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAReaderFarBeyondTheEndSkipsWhatIsBefore(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 5)
	r := open(ctx, t, c, 8)
	publishNotes(ctx, t, c, 6, 10)
	if diff := cmp.Diff([]uint64{9, 10}, positions(readUpTo(ctx, t, r, 10))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCloseAndContextEndNext(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	for _, tc := range []struct {
		name string
		end  func(r engine.Reader, cancel func())
		want func(error) bool
	}{
		{"close", func(r engine.Reader, _ func()) { r.Close() }, func(err error) bool { return err != nil }},
		{"context", func(_ engine.Reader, cancel func()) { cancel() }, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := open(ctx, t, c, 0)
			rctx, cancel := context.WithCancel(ctx)
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := r.Next(rctx, nil, bound)
				ended <- err
			}()
			tc.end(r, cancel)
			if err := <-ended; !tc.want(err) {
				t.Errorf("Next ended with %v", err)
			}
			r.Close()
			if _, err := r.Next(ctx, nil, bound); err == nil {
				t.Error("Next of a closed reader returned no error")
			}
		})
	}
}

// TestAServerRestartNeitherSkipsNorRepeats restarts the server while a reader reads:
// the reader ends, and one opened after the last position goes on without gap or
// repetition.
func TestAServerRestartNeitherSkipsNorRepeats(t *testing.T) {
	ctx := deadline(t)
	publisher, srv := provisioned(t)
	n := uint64(3000)
	if testrun.Long() {
		n = 30_000
	}
	// Long enough that the reader has received only a part when the server ends.
	published := uint64(0)
	if _, err := publisher.PublishAll(ctx, func() (events.Message, bool) {
		published++
		return events.Message{Subject: events.AccountSubject(account(int(published % 50))), Data: repeat(2000)}, published <= n
	}); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(ctx, Config{URL: srv.URL(), Name: t.Name(), PrefetchBytes: 1}) // the smallest prefetch
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var all []uint64
	last := func() uint64 {
		if len(all) == 0 {
			return 0
		}
		return all[len(all)-1]
	}
	restarts := 0
	for last() < n {
		r, err := c.Open(ctx, last())
		if err != nil {
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			continue // during the restart
		}
		for last() < n {
			batch, err := r.Next(ctx, nil, engine.Bound{Events: 100, Bytes: 1 << 20})
			all = append(all, positions(batch)...)
			if err != nil {
				if ctx.Err() != nil {
					t.Fatal(err)
				}
				break
			}
			if restarts < 2 && last() > uint64(restarts+1)*n/3 {
				restarts++
				srv.Halt()
				if err := srv.Restart(); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.Close()
	}
	if restarts != 2 {
		t.Fatalf("%d restarts", restarts)
	}
	var want []uint64
	for i := range n {
		want = append(want, uint64(i+1))
	}
	if !slices.Equal(all, want) {
		t.Errorf("read %d positions, not each of the %d once and in order", len(all), n)
	}
}

func TestAStreamThatGoesAwayEndsTheReader(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 3)
	r := open(ctx, t, c, 0)
	readUpTo(ctx, t, r, 3)
	if err := c.js.DeleteStream(ctx, "CONTROL_PLANE"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(ctx, nil, bound); err == nil || ctx.Err() != nil {
		t.Errorf("Next after the stream was deleted: %v, want an error of the reader", err)
	}
}
