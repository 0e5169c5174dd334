package importer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// TestLinesOfErasedAccountsAreLeftOut: an account that was erased before the import, one
// between two calls, and one while a window was cut off, whose lines were published
// and not noted.
func TestLinesOfErasedAccountsAreLeftOut(t *testing.T) {
	of := func(n int) events.UUID { return events.ParseSubject("controlplane.account." + account(n)).Account }
	in := increments(0, 90, 3)
	for _, window := range []time.Duration{100 * time.Millisecond, time.Minute} {
		t.Run(window.String(), func(t *testing.T) {
			c, srv := provisioned(t)
			reconfigure(t, srv.URL(), func(cfg *jetstream.StreamConfig) { cfg.Duplicates = window })
			opt := Options{Progress: progressPath(t), Lines: 10}
			erase(t, c, of(0))
			sum, err := Run(deadline(t), c, inline(increments(0, 60, 3)), true, opt)
			if want := (Summary{Lines: 60, Published: 40, Erased: 20, Last: sum.Last, Done: 60}); err != nil || sum != want {
				t.Fatalf("erased before: %+v, %v", sum, err)
			}
			erase(t, c, of(1))
			sum, err = Run(deadline(t), c, inline(in), true, opt)
			if want := (Summary{Lines: 90, Published: 50, Erased: 40, Last: sum.Last, Before: 60, Done: 90}); err != nil || sum != want {
				t.Fatalf("erased between: %+v, %v", sum, err)
			}
			erase(t, c, of(2))
			begun(t, opt.Progress)
			time.Sleep(110 * time.Millisecond) // the shorter window for duplicates passes
			sum, err = Run(deadline(t), c, inline(in), true, opt)
			if want := (Summary{Lines: 90, Erased: 90, Done: 90}); err != nil || sum != want {
				t.Fatalf("erased meanwhile: %+v, %v", sum, err)
			}
			want := map[string][]string{}
			for n := range 3 {
				want["controlplane.account."+account(n)] = []string{"erase-" + account(n)}
			}
			if diff := cmp.Diff(want, stored(t, c)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
