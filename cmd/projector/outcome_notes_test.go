package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// TestOutcomesAreNotedRarely: however often something is committed, one statement every five
// seconds is sent, the last of them with everything, and none while nothing is counted. One that
// fails is logged once, until one succeeds, and tried again a minute later; one that finds no row, or whose row may be
// gone since, is sent again.
func TestOutcomesAreNotedRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		applied := projections.TypeOutcome{Type: "team.created.v1", Outcome: projections.Applied}
		var (
			log   strings.Builder
			mu    sync.Mutex // guards what follows
			noted []map[projections.TypeOutcome]int64
			away  = false // whether the database takes no notes
			row   = true  // whether this replica has one
		)
		o := newOutcomeNotes(blind{}, func(ctx context.Context, counted map[projections.TypeOutcome]int64) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			noted = append(noted, counted)
			if _, limited := ctx.Deadline(); !limited {
				t.Error("a statement has no limit")
			}
			if away {
				return false, errors.New("away")
			}
			return row, nil
		}, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, stop := context.WithCancel(t.Context())
		go o.run(ctx)
		sent := func() int { // since the last call
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			n := len(noted)
			noted = nil
			return n
		}
		set := func(to *bool, value bool) {
			mu.Lock()
			defer mu.Unlock()
			*to = value
		}
		idle := func(d time.Duration) {
			for range int(d / time.Second) {
				o.Committed(engine.BatchStats{Generation: 1}) // a beat
				o.Assigned(1, []int{1})
				time.Sleep(time.Second)
			}
		}
		counts := engine.BatchStats{Counts: map[projections.TypeOutcome]int64{applied: 2}}

		o.Restarted(engine.Failure{Reason: "store"}) // nothing was counted that could be noted
		idle(time.Hour)
		if n := sent(); n != 0 {
			t.Errorf("%d statements of nothing", n)
		}
		for range 600 {
			o.Committed(counts)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		mu.Lock()
		last := noted[len(noted)-1]
		mu.Unlock()
		if diff := cmp.Diff(map[projections.TypeOutcome]int64{applied: 1200}, last); diff != "" {
			t.Errorf("the last note (-counted +noted):\n%s", diff)
		}
		if n := sent(); n < 12 || n > 13 {
			t.Errorf("%d statements in a minute", n)
		}
		idle(time.Hour)
		if n := sent(); n != 0 {
			t.Errorf("%d statements while idle", n)
		}
		o.Restarted(engine.Failure{Reason: "fenced"})
		idle(time.Hour)
		if n := sent(); n != 1 {
			t.Errorf("%d statements after it began again", n)
		}
		set(&row, false)
		o.Committed(counts)
		idle(12 * time.Second)
		set(&row, true)
		idle(time.Hour)
		if n := sent(); n != 4 {
			t.Errorf("%d statements where the row was not there for 12 seconds", n)
		}
		set(&away, true)
		o.Committed(counts)
		idle(10 * time.Minute)
		if n := sent(); n < 10 || n > 11 {
			t.Errorf("%d statements in ten minutes in which they fail", n)
		}
		set(&away, false)
		idle(time.Hour)
		if n := sent(); n != 1 {
			t.Errorf("%d statements once they succeed", n)
		}
		set(&away, true)
		o.Committed(counts)
		idle(10 * time.Minute)
		stop()
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "projecting goes on") {
			t.Errorf("logged %d times: %s", n, log.String())
		}
	})
}
