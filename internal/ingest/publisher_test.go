package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
)

func TestEachItemIsPublishedOnceInOrder(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), 100*time.Millisecond)
	p := New(c, Options{Window: 50})
	for _, subjects := range []int{1, 7, 300} {
		t.Run(fmt.Sprint(subjects), func(t *testing.T) {
			mark, err := p.Mark(ctx)
			if err != nil {
				t.Fatal(err)
			}
			items := itemsOf(subjects*10_000, subjects*10_000+600, subjects)
			at := make([]uint64, len(items))
			if err := p.Publish(ctx, items, mark, func(i int, a Ack) {
				if at[i] != 0 || a.Found {
					t.Errorf("item %d: %+v, and before that %d", i, a, at[i])
				}
				at[i] = a.Position
			}); err != nil {
				t.Fatal(err)
			}
			found, err := p.Find(ctx, items, mark)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(at, found); diff != "" {
				t.Errorf("found elsewhere than acknowledged:\n%s", diff)
			}
			for i, position := range at {
				m, err := c.Get(ctx, position)
				if err != nil || !items[i].is(m) || m.Subject != items[i].Message.Subject {
					t.Fatalf("at %d is %q on %s: %v; want %s", position, m.Data, m.Subject, err, items[i].ID)
				}
				if i >= subjects && at[i-subjects] > position {
					t.Errorf("items %d and %d of one subject are at %d and %d", i-subjects, i, at[i-subjects], position)
				}
			}
		})
	}
}

// TestAnInterruptedCallIsGoneOnWith: begun again by another publisher after the
// window for duplicates, with everything that was not acknowledged, while what
// the first one had on its way may still arrive.
func TestAnInterruptedCallIsGoneOnWith(t *testing.T) {
	for _, subjects := range []int{1, 40, 2000} {
		t.Run(fmt.Sprint(subjects), func(t *testing.T) {
			srv := natsserver.ForTest(t)
			c := provisioned(t, srv.URL(), 100*time.Millisecond)
			items := itemsOf(0, 2000, subjects)
			left, interrupted := items, 0
			for round := 0; len(left) > 0; round++ {
				ctx, interrupt := context.WithCancel(deadline(t))
				most, n := rand.IntN(700), 0
				acked := make([]bool, len(left))
				err := New(c, Options{Window: 256}).Publish(ctx, left, 0, func(i int, _ Ack) {
					acked[i] = true
					if n++; n > most {
						interrupt()
					}
				})
				interrupt()
				if errors.Is(err, context.Canceled) {
					interrupted++
				} else if err != nil {
					t.Fatal(err)
				}
				if round%2 == 1 {
					time.Sleep(110 * time.Millisecond) // the window is what passes here
				}
				left = unacknowledged(left, acked)
			}
			if interrupted == 0 {
				t.Error("nothing was interrupted")
			}
			if diff := cmp.Diff(wanted(items), stored(t, c)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// unacknowledged are those that somebody who begins anew has to go on with.
func unacknowledged(items []Item, acked []bool) (left []Item) {
	for i, item := range items {
		if !acked[i] {
			item.Tried = true
			left = append(left, item)
		}
	}
	return left
}

// TestStrangersMessagesAreInBetween: somebody else publishes on the same
// subjects all the while.
func TestStrangersMessagesAreInBetween(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), 100*time.Millisecond)
	stop := stranger(t, srv.URL(), 5)
	defer stop()
	p := New(c, Options{})
	items := itemsOf(0, 1500, 5)
	if err := p.Publish(ctx, items, 0, func(int, Ack) {}); err != nil {
		t.Fatal(err)
	}
	if n := stop(); n == 0 {
		t.Error("the stranger has published nothing")
	}
	if diff := cmp.Diff(wanted(items), stored(t, c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// stranger publishes on so many of the subjects until it is stopped, and tells
// how much that was.
func stranger(t testing.TB, url string, subjects int) (stop func() int) {
	t.Helper()
	js := plain(t, url)
	ctx, cancel := context.WithCancel(context.Background())
	done, n := make(chan struct{}), 0
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			m := item(n, subjects).Message
			limit, end := context.WithTimeout(ctx, time.Second)
			_, err := js.PublishMsg(limit, natsMessage(m, fmt.Sprintf("stranger-%d", n)))
			end()
			if err == nil {
				n++
			}
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		}
	}()
	return func() int {
		cancel()
		<-done
		return n
	}
}

func TestAnIdBelongsToOneMessage(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), time.Minute)
	p := New(c, Options{})
	mine := item(1, 50)
	other := item(1, 50)
	other.Message.Data = []byte("another")
	if err := p.Publish(ctx, []Item{other}, 0, func(int, Ack) {}); err != nil {
		t.Fatal(err)
	}
	collision := (*CollisionError)(nil)
	err := p.Publish(ctx, []Item{item(2, 50), mine}, 0, func(int, Ack) {})
	want := CollisionError{Index: 1, ID: "item-1", Subject: mine.Message.Subject, Position: 1, Other: mine.Message.Subject}
	if !errors.As(err, &collision) || *collision != want {
		t.Errorf("an id on the same subject: %v", err)
	}
	elsewhere := item(1, 50)
	elsewhere.Message.Subject = events.AccountSubject(account(3))
	if err = p.Publish(ctx, []Item{elsewhere}, 0, func(int, Ack) {}); !errors.As(err, &collision) || collision.Other != mine.Message.Subject {
		t.Errorf("an id on another subject: %v", err)
	}
	if err := p.Publish(ctx, []Item{other}, 0, func(_ int, a Ack) {
		if a != (Ack{Position: 1, Found: true}) {
			t.Errorf("the same message: %+v", a)
		}
	}); err != nil {
		t.Errorf("the same message: %v", err)
	}
	if err := plainStream(t, srv.URL()).DeleteMsg(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err = p.Publish(ctx, []Item{other}, 0, func(int, Ack) {}); !errors.As(err, &collision) || collision.Other != "" {
		t.Errorf("the id of a message that was removed: %v", err)
	}
	repeated := (*RepeatedIDError)(nil)
	if err = p.Publish(ctx, []Item{item(7, 50), item(8, 50), item(7, 40)}, 0, nil); !errors.As(err, &repeated) || repeated.First != 0 || repeated.Second != 2 {
		t.Errorf("an id twice: %v", err)
	}
	if err = p.Publish(ctx, []Item{{Message: mine.Message}}, 0, nil); err == nil {
		t.Error("a message without an id was published")
	}
}

func plainStream(t *testing.T, url string) jetstream.Stream {
	t.Helper()
	s, err := plain(t, url).Stream(deadline(t), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWhatIsStoredWithoutAPartitionIsFound: while the stream's transform is
// missing, the same subject is stored under another name.
func TestWhatIsStoredWithoutAPartitionIsFound(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), 100*time.Millisecond)
	transforms := []*jetstream.SubjectTransformConfig{nil, plainStream(t, srv.URL()).CachedInfo().Config.SubjectTransform,
		{Source: "controlplane.*.*", Destination: "controlplane.{{partition(5,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"}}
	items := itemsOf(0, 300, 10)
	for i := range items {
		items[i].Tried = true
	}
	for n, transform := range transforms {
		reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.SubjectTransform = transform })
		time.Sleep(110 * time.Millisecond) // the window for duplicates passes
		// Each time all are published anew, as by an import that was killed before
		// it could note anything.
		found := 0
		if err := New(c, Options{}).Publish(ctx, items[:100*(n+1)], 0, func(_ int, a Ack) {
			if a.Found {
				found++
			}
		}); err != nil {
			t.Fatal(err)
		}
		if found != 100*n {
			t.Errorf("with %v: %d were found, want %d", transform, found, 100*n)
		}
	}
	if diff := cmp.Diff(wanted(items), stored(t, c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatCannotPassIsAnErrorAtOnce(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := connect(t, srv.URL())
	if err := New(c, Options{}).Publish(ctx, itemsOf(0, 3, 2), 0, nil); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("without a stream: %v", err)
	}
	other := plain(t, srv.URL())
	if _, err := other.CreateStream(ctx, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"controlplane.>"}}); err != nil {
		t.Fatal(err)
	}
	if err := New(c, Options{}).Publish(ctx, itemsOf(0, 3, 2), 0, nil); !errors.Is(err, stream.ErrAnotherStream) {
		t.Errorf("with another stream in its place: %v", err)
	}
	if err := other.DeleteStream(ctx, "OTHER"); err != nil {
		t.Fatal(err)
	}
	c = provisioned(t, srv.URL(), time.Minute)
	large := item(1, 2)
	large.Message.Data = make([]byte, 2<<20)
	failed := (*ItemError)(nil)
	if err := New(c, Options{}).Publish(ctx, []Item{item(0, 2), large}, 0, func(int, Ack) {}); !errors.As(err, &failed) || failed.Index != 1 {
		t.Errorf("a message that is too large: %v", err)
	}
	reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.MaxMsgSize = 1000 })
	large.Message.Data = make([]byte, 2000)
	if err := New(c, Options{}).Publish(ctx, []Item{item(0, 2), large}, 0, func(int, Ack) {}); !errors.As(err, &failed) || failed.Index != 1 {
		t.Errorf("a message that is too large for the stream: %v", err)
	}
}

func TestProgressTimeout(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), time.Minute)
	srv.Halt()
	err := New(c, Options{ProgressTimeout: 300 * time.Millisecond}).Publish(ctx, itemsOf(0, 3, 2), 0, nil)
	if !errors.Is(err, ErrNoProgress) {
		t.Errorf("without a server: %v", err)
	}
}
