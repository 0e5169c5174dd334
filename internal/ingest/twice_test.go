package ingest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
)

// TestTwoPublishersOfTheSameItems: one that was taken for dead, as a frozen relay is,
// goes on beside the one that took over. The server's window for duplicates is too
// short to help.
func TestTwoPublishersOfTheSameItems(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), 100*time.Millisecond)
	var all []Item
	for round := range 10 {
		items := itemsOf(round*300, round*300+300, 7)
		all = append(all, items...)
		frozen, successor := New(c, Options{Window: 3}), New(connect(t, srv.URL()), Options{})
		mark, err := frozen.Mark(ctx)
		if err != nil {
			t.Fatal(err)
		}
		strike, thaw, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			n := 0
			ended <- frozen.Publish(ctx, items, mark, func(int, Ack) {
				if n++; n == 1+30*round {
					close(strike)
					<-thaw
				}
			})
		}()
		<-strike
		tried := itemsOf(round*300, round*300+300, 7)
		for i := range tried {
			tried[i].Tried = true
		}
		published := 0
		err = successor.Publish(ctx, tried, mark, func(int, Ack) {
			if published++; published == 100+10*round {
				time.Sleep(110 * time.Millisecond) // the window for duplicates passes
				close(thaw)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(wanted(all), stored(t, c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTwoPublishersBeginAtOnce: neither knows of the other, and both have noted the same
// position before. What one of them stores, the other finds.
func TestTwoPublishersBeginAtOnce(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	c := provisioned(t, srv.URL(), 100*time.Millisecond)
	items := itemsOf(0, 1000, 7)
	found, ended := make([]int, 2), make(chan error, 2)
	for which, client := range []*stream.Client{c, connect(t, srv.URL())} {
		p := New(client, Options{Window: 3 + which})
		go func() {
			ended <- p.Publish(ctx, items, 0, func(_ int, a Ack) {
				if a.Found {
					found[which]++
				}
			})
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if found[0]+found[1] != len(items) {
		t.Errorf("%v were found, want each item found by one of the two", found)
	}
	if diff := cmp.Diff(wanted(items), stored(t, c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
