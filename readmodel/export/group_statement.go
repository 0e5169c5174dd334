package export

import (
	"context"
	"runtime"
	"slices"
	"time"

	"accountexport/events"
)

// groupStatement is a statement for several reads. It ends early when all of them have
// left.
type groupStatement struct {
	// Set before it starts.
	ctx    context.Context
	cancel context.CancelFunc
	began  time.Time
	reads  []*groupedRead

	// Guarded by groupReader.mu.
	slow       bool
	interested int // reads that still want it
}

// canStart tells whether another statement may start; g.mu is locked.
func (g *groupReader) canStart() bool {
	return len(g.inFlight) < min(g.maxInFlight, g.slow+max(minInFlight, int(g.fastest/latencyPerStatement)))
}

// runLoop runs a statement, and then others for the reads that came to wait
// meanwhile.
func (g *groupReader) runLoop(group *groupStatement) {
	for ; group != nil; group = g.startNext() {
		g.run(group)
		runtime.Gosched() // lets callers ask again that were just answered
	}
}

// startNext starts a statement with the reads that wait; nil where there are none,
// or none may start.
func (g *groupReader) startNext() *groupStatement {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.canStart() {
		return nil
	}
	return g.startGroup()
}

// startGroup starts a statement with the first reads that wait; g.mu is locked.
func (g *groupReader) startGroup() *groupStatement {
	if len(g.queue) == 0 {
		return nil
	}
	group := &groupStatement{began: time.Now()}
	of := context.Background()
	if g.follow {
		of = context.WithoutCancel(g.queue[0].caller)
	}
	group.ctx, group.cancel = context.WithCancel(of)
	if n := g.nextGroupSize(); n < len(g.queue) {
		group.reads = slices.Clone(g.queue[:n])
		g.queue = slices.Delete(g.queue, 0, n)
	} else {
		group.reads, g.queue = g.queue, nil
	}
	group.interested = len(group.reads)
	for _, a := range group.reads {
		a.group = group
	}
	g.inFlight[group] = struct{}{}
	g.watch()
	return group
}

// nextGroupSize is how many of the first reads that wait fit into one statement. Reads
// of one account count once.
func (g *groupReader) nextGroupSize() int {
	if len(g.queue) == 1 {
		return 1
	}
	accounts := make(map[events.UUID]struct{}, min(len(g.queue), maxGroupAccounts))
	bytes := 0
	for n, a := range g.queue {
		if _, known := accounts[a.account]; known {
			continue
		}
		if len(accounts) == maxGroupAccounts || n > 0 && bytes+a.shareLimit > maxSharedBytes {
			return n
		}
		accounts[a.account] = struct{}{}
		bytes += a.shareLimit
	}
	return len(g.queue)
}

// run runs a statement and gives each read its result. An account that is asked for
// more than once is read once.
func (g *groupReader) run(group *groupStatement) {
	defer group.cancel()
	requests := make([]request, 0, len(group.reads))
	index := make([]int, len(group.reads))
	if len(group.reads) == 1 {
		requests = append(requests, group.reads[0].request)
	} else {
		seen := make(map[events.UUID]int, len(group.reads))
		for i, a := range group.reads {
			n, ok := seen[a.account]
			if !ok {
				n = len(requests)
				seen[a.account] = n
				requests = append(requests, a.request)
			} else if a.document {
				requests[n] = a.request
			}
			index[i] = n
		}
	}
	var results []readResult
	var err error
	defer func() {
		panicValue := recover()
		g.finish(group, err)
		g.mu.Unlock()
		for i, a := range group.reads {
			if a.err, a.panicValue = err, panicValue; err == nil && panicValue == nil {
				a.result = results[index[i]]
			}
			close(a.done)
		}
	}()
	results, err = g.read(group.ctx, requests)
}

// finish takes a statement out of those in flight, and learns from how long it took.
// It leaves g.mu locked.
func (g *groupReader) finish(group *groupStatement, err error) {
	g.mu.Lock()
	delete(g.inFlight, group)
	if group.slow {
		g.slow--
	}
	if took := time.Since(group.began); err == nil && (took < g.fastest || g.fastest == 0) {
		g.fastest = took
	} else if err == nil {
		g.fastest += (min(took, 2*g.fastest) - g.fastest) / 256 // the network's round trip may have become longer
	}
}

// watch has [groupReader.bypassSlow] run once in a while as long as statements are in
// flight: no read waits while there is none. g.mu is locked.
func (g *groupReader) watch() {
	if !g.watching {
		g.watching = true
		time.AfterFunc(max(slowAfter, 4*g.fastest), g.bypassSlow)
	}
}

// bypassSlow finds statements that have become slow and starts others beside them,
// and refuses reads that have waited for longer than [queueTimeout].
func (g *groupReader) bypassSlow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watching = false; len(g.inFlight) == 0 {
		return
	}
	g.watch()
	slow := time.Now().Add(-max(slowAfter, 4*g.fastest))
	for group := range g.inFlight {
		if !group.slow && group.began.Before(slow) {
			group.slow = true
			g.slow++
		}
	}
	for len(g.queue) > 0 && g.canStart() {
		go g.runLoop(g.startGroup())
	}
	late := 0 // of the queue alone: a statement that has started has a time limit of its own
	for late < len(g.queue) && time.Since(g.queue[late].queuedAt) > queueTimeout {
		g.queue[late].err = ErrBusy
		close(g.queue[late].done)
		late++
	}
	g.queue = slices.Delete(g.queue, 0, late)
}
