package export

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"accountexport/readmodel/internal/pg"
)

const (
	minInFlight         = 2                      // statements in flight before reads are grouped, where the database is near
	maxGroupAccounts    = 64                     // accounts in one statement
	latencyPerStatement = 500 * time.Microsecond // for each of these of a statement's time, one more may be in flight
	slowAfter           = 5 * time.Millisecond   // the least time after which other reads do not wait for a statement
)

// groupReader groups reads that come at the same time into one statement, which
// costs client and server little more than one read does. No read waits for others
// to come: it begins at once while few statements are in flight, and otherwise when
// the next one ends, with all that came meanwhile. How many are few follows from
// the fastest statement's time, which is the network's round trip; there are never
// more than connections. A statement that takes far longer does not count: while
// there are connections, the reads that wait go on without it. Where the server
// refuses a statement for several reads, each of them gets its own.
type groupReader struct {
	read        func(ctx context.Context, requests []request) ([]readResult, error) // one result for each
	maxInFlight int                                                                 // as many as there are connections
	follow      bool                                                                // statements have the values of the first reader's context

	mu       sync.Mutex     // guards what follows; never held over I/O
	queue    []*groupedRead // in the order in which they came
	inFlight map[*groupStatement]struct{}
	slow     int           // how many of those in flight are slow
	fastest  time.Duration // that a statement takes
	watching bool          // bypassSlow is going to run
}

// groupedRead is a read that waits for its statement, or is in it.
type groupedRead struct {
	request
	queuedAt time.Time
	caller   context.Context // its values alone
	group    *groupStatement // guarded by groupReader.mu; nil while it waits

	done       chan struct{} // closed by the statement's goroutine once what follows is set
	result     readResult
	err        error
	panicValue any // that the statement's goroutine panicked with
}

func newGroupReader(maxInFlight int, read func(context.Context, []request) ([]readResult, error)) *groupReader {
	return &groupReader{read: read, maxInFlight: maxInFlight, inFlight: map[*groupStatement]struct{}{}}
}

// get reads an account. The statement sees everything that was committed before get
// was called.
func (g *groupReader) get(ctx context.Context, r request) (readResult, error) {
	g.mu.Lock()
	if len(g.inFlight) == 0 && len(g.queue) == 0 {
		group := &groupStatement{began: time.Now()}
		g.inFlight[group] = struct{}{}
		g.watch()
		g.mu.Unlock()
		return g.readSingle(ctx, group, r)
	}
	read := &groupedRead{request: r, queuedAt: time.Now(), caller: ctx, done: make(chan struct{})}
	g.queue = append(g.queue, read)
	if g.canStart() {
		g.mu.Unlock()
		runtime.Gosched() // lets other reads join that are about to ask
		g.mu.Lock()
	}
	var group *groupStatement
	if g.canStart() {
		group = g.startGroup()
	}
	own := group != nil && len(group.reads) == 1 && group.reads[0] == read
	if own {
		group.ctx = ctx
	}
	g.mu.Unlock()
	if own {
		g.run(group)
		if group = g.startNext(); group != nil {
			go g.runLoop(group)
		}
	} else if group != nil {
		go g.runLoop(group)
	}
	return g.await(ctx, read)
}

// readSingle runs a statement for one read, where nothing else is in flight: on the
// goroutine that asks, and without looking for company.
func (g *groupReader) readSingle(ctx context.Context, group *groupStatement, r request) (readResult, error) {
	err := errors.New("it did not end") // it stays this where read panics
	defer func() {
		if g.finish(group, err); len(g.queue) > 0 && g.canStart() {
			go g.runLoop(g.startGroup())
		}
		g.mu.Unlock()
	}()
	var results []readResult
	if results, err = g.read(ctx, []request{r}); err != nil {
		return readResult{}, err
	}
	return results[0], nil
}

// await waits for the read's statement. A panic of the statement is raised again
// here. Where the server refused a statement for several reads, this one is read by
// itself.
func (g *groupReader) await(ctx context.Context, a *groupedRead) (readResult, error) {
	select {
	case <-a.done:
	case <-ctx.Done():
		g.leave(a)
		return readResult{}, context.Cause(ctx)
	}
	switch {
	case a.panicValue != nil:
		panic(a.panicValue)
	case pg.Code(a.err) != "" && len(a.group.reads) > 1:
		results, err := g.read(ctx, []request{a.request})
		if err != nil {
			return readResult{}, err
		}
		return results[0], nil
	}
	return a.result, a.err
}

// leave takes a read back whose caller has gone. A statement that no read is
// left in is cancelled.
func (g *groupReader) leave(a *groupedRead) {
	if g.dequeue(a) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.group == nil {
		return // bypassSlow has just refused it
	}
	if a.group.interested--; a.group.interested == 0 {
		a.group.cancel()
	}
}

// dequeue takes a read that still waits out of the queue.
func (g *groupReader) dequeue(a *groupedRead) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.queue, a)
	if i < 0 {
		return false
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	return true
}
