// Package coalesce runs what is asked for often as seldom as that suffices: one run
// at a time, and everything that is scheduled during a run shares the next one.
package coalesce

import (
	"context"
	"sync"
	"time"
)

// Runner runs a function in the background. It is safe for concurrent use.
type Runner struct {
	gap time.Duration
	run func()

	mu      sync.Mutex    // guards what follows; not held during a run
	due     bool          // something was scheduled since the last run began
	running chan struct{} // closed when the running goroutine ends; nil where there is none
}

// New makes a runner of run, with at least gap between two runs. Runs follow one
// another, so run needs no lock for what it alone uses.
func New(gap time.Duration, run func()) *Runner { return &Runner{gap: gap, run: run} }

// Schedule has a run begin after this call, and does not wait for it.
func (r *Runner) Schedule() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = true
	if r.running == nil {
		r.running = make(chan struct{})
		go r.loop(r.running)
	}
}

// Drain waits until no run is due or under way, or ctx ends.
func (r *Runner) Drain(ctx context.Context) {
	r.mu.Lock()
	ended := r.running
	r.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

func (r *Runner) loop(ended chan struct{}) {
	defer close(ended)
	for again := false; ; again = true {
		if again {
			time.Sleep(r.gap)
		}
		r.mu.Lock()
		if !r.due {
			r.running = nil
			r.mu.Unlock()
			return
		}
		r.due = false
		r.mu.Unlock()
		r.run()
	}
}
