package main

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// outcomeNotes is an observer that keeps in the database what this replica has counted
// since its start, as its metric projector_events_total does: one look there has the
// counters of all replicas. It never stops or delays the fold: the observer's methods
// touch memory alone, and a statement that fails is dropped. While nothing is counted it
// sends nothing.
type outcomeNotes struct {
	engine.Observer
	// note writes what was counted to this replica's row, and tells whether it has one.
	note func(context.Context, map[projections.TypeOutcome]int64) (bool, error)
	log  *slog.Logger
	due  chan struct{} // holds a value while there is something to note

	mu      sync.Mutex                        // guards counted, and is never held over I/O
	counted map[projections.TypeOutcome]int64 // of the closed list of types, and "other"
}

const (
	outcomesPause  = 5 * time.Second // between two notes
	outcomesFailed = time.Minute     // after one that failed
)

func newOutcomeNotes(next engine.Observer, note func(context.Context, map[projections.TypeOutcome]int64) (bool, error), log *slog.Logger) *outcomeNotes {
	return &outcomeNotes{Observer: next, note: note, log: log, due: make(chan struct{}, 1), counted: map[projections.TypeOutcome]int64{}}
}

// Committed implements [engine.Observer].
func (o *outcomeNotes) Committed(s engine.BatchStats) {
	o.Observer.Committed(s)
	if len(s.Counts) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, n := range s.Counts {
		o.counted[k] += n
	}
	o.schedule()
}

// Restarted implements [engine.Observer]. The others may have taken this replica for
// dead, and removed its row; it gets another one, without what was noted.
func (o *outcomeNotes) Restarted(f engine.Failure) {
	o.Observer.Restarted(f)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.counted) > 0 {
		o.schedule()
	}
}

func (o *outcomeNotes) schedule() {
	select {
	case o.due <- struct{}{}:
	default:
	}
}

// run notes what was counted until ctx ends: what is due at once, and the next one five
// seconds later at the earliest. What a note fails with is logged once, until one
// succeeds again.
func (o *outcomeNotes) run(ctx context.Context) {
	complained := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.due:
		}
		o.mu.Lock()
		counted := maps.Clone(o.counted)
		o.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, noteTimeout)
		member, err := o.note(limited, counted)
		cancel()
		pause := outcomesPause
		switch {
		case err == nil && member:
			complained = false
		case err == nil: // it becomes one by its next heartbeat
			o.schedule()
		default:
			pause = outcomesFailed
			o.schedule()
			if !complained && ctx.Err() == nil {
				complained = true
				o.log.Warn("cannot note in the database what was counted by type and outcome; projecting goes on, and the metrics have it", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
