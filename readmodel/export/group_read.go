package export

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"accountexport/events"
	"accountexport/readmodel/internal/pg"
)

const (
	minInFlight      = 2                      // statements under way at once before reads are put together, where the database is near
	maxGroupAccounts = 64                     // accounts in one statement
	lineFor          = 500 * time.Microsecond // of a statement's time there is one more
	slowAfter        = 5 * time.Millisecond   // a statement at least, before others do not wait for it
)

// groupReader puts reads that come at the same time into one statement, which costs
// client and server little more than one read does. Nobody is waited for: a
// read begins at once while few statements are under way, and otherwise when
// the next one ends, with all that came meanwhile. How many are few follows
// from how long one takes at least, which is the way to the database and back;
// there are never more than connections. A statement that takes far longer does
// not count: as long as there are connections, all who wait go on without it.
// Where the server refuses a statement for several, each of them has its own.
type groupReader struct {
	read func(ctx context.Context, of []request) ([]readResult, error) // one for each
	most int                                                           // statements under way at once: so many connections

	mu       sync.Mutex
	queue    []*groupedRead // in the order in which they came
	inFlight map[*readGroup]struct{}
	slow     int           // of the lines
	least    time.Duration // that a statement takes
	watching bool          // for lines that are slow
}

// groupedRead is a read that waits for its statement, or is in it.
type groupedRead struct {
	request
	since  time.Time
	group  *readGroup    // guarded by gather.mu; nil while it waits
	done   chan struct{} // closed once what follows is known
	found  readResult
	err    error
	thrown any // what the statement's goroutine panicked with
}

// readGroup is a statement for several reads, which ends when they all have
// left.
type readGroup struct {
	ctx    context.Context
	cancel context.CancelFunc
	began  time.Time
	slow   bool // guarded by gather.mu
	reads  []*groupedRead
	left   int // reads that still want it; guarded by gather.mu
}

func newGroupReader(most int, read func(context.Context, []request) ([]readResult, error)) *groupReader {
	return &groupReader{read: read, most: most, inFlight: map[*readGroup]struct{}{}}
}

// get reads an account. The statement sees all that was committed before get
// was called.
func (g *groupReader) get(ctx context.Context, r request) (readResult, error) {
	g.mu.Lock()
	if len(g.inFlight) == 0 && len(g.queue) == 0 {
		t := &readGroup{began: time.Now()}
		g.inFlight[t] = struct{}{}
		g.watch()
		g.mu.Unlock()
		return g.readSingle(ctx, t, r)
	}
	a := &groupedRead{request: r, since: time.Now(), done: make(chan struct{})}
	g.queue = append(g.queue, a)
	if g.canStart() {
		g.mu.Unlock()
		runtime.Gosched() // who is about to ask comes along
		g.mu.Lock()
	}
	var t *readGroup
	if g.canStart() {
		t = g.startGroup()
	}
	mine := t != nil && len(t.reads) == 1 && t.reads[0] == a
	if mine {
		t.ctx = ctx
	}
	g.mu.Unlock()
	if mine {
		g.run(t)
		if t = g.startNext(); t != nil {
			go g.runLoop(t)
		}
	} else if t != nil {
		go g.runLoop(t)
	}
	return g.await(ctx, a)
}

// readSingle is a statement for one read, where nothing else is under way: by the
// goroutine that asks, without company to look out for.
func (g *groupReader) readSingle(ctx context.Context, t *readGroup, r request) (readResult, error) {
	err := errors.New("it did not end") // a panic
	defer func() {
		if g.finish(t, err); len(g.queue) > 0 && g.canStart() {
			go g.runLoop(g.startGroup())
		}
		g.mu.Unlock()
	}()
	var all []readResult
	if all, err = g.read(ctx, []request{r}); err != nil {
		return readResult{}, err
	}
	return all[0], nil
}

// finish takes a statement out of those that are under way, and notes how long
// it took. It leaves g.mu locked.
func (g *groupReader) finish(t *readGroup, err error) {
	g.mu.Lock()
	delete(g.inFlight, t)
	if t.slow {
		g.slow--
	}
	if took := time.Since(t.began); err == nil && (took < g.least || g.least == 0) {
		g.least = took
	} else if err == nil {
		g.least += (min(took, 2*g.least) - g.least) / 256 // the way may have become longer
	}
}

// canStart tells whether another statement may begin; g.mu is locked.
func (g *groupReader) canStart() bool {
	return len(g.inFlight) < min(g.most, g.slow+max(minInFlight, int(g.least/lineFor)))
}

func (g *groupReader) await(ctx context.Context, a *groupedRead) (readResult, error) {
	select {
	case <-a.done:
	case <-ctx.Done():
		g.leave(a)
		return readResult{}, context.Cause(ctx)
	}
	switch {
	case a.thrown != nil:
		panic(a.thrown)
	case pg.Code(a.err) != "" && len(a.group.reads) > 1:
		all, err := g.read(ctx, []request{a.request})
		if err != nil {
			return readResult{}, err
		}
		return all[0], nil
	}
	return a.found, a.err
}

// withdrawn takes a read that still waits out of the queue.
func (g *groupReader) withdrawn(a *groupedRead) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.queue, a)
	if i < 0 {
		return false
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	return true
}

func (g *groupReader) leave(a *groupedRead) {
	if g.withdrawn(a) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.group == nil {
		return // it has just been told that it waited for too long
	}
	if a.group.left--; a.group.left == 0 {
		a.group.cancel()
	}
}

// runLoop runs a statement, and then others for those who come to wait meanwhile.
func (g *groupReader) runLoop(t *readGroup) {
	for ; t != nil; t = g.startNext() {
		g.run(t)
		runtime.Gosched() // who was answered may ask again
	}
}

// startNext begins with those who wait; nil where there are none.
func (g *groupReader) startNext() *readGroup {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.canStart() {
		return nil
	}
	return g.startGroup()
}

// startGroup begins a statement with the first who wait; g.mu is locked.
func (g *groupReader) startGroup() *readGroup {
	if len(g.queue) == 0 {
		return nil
	}
	t := &readGroup{began: time.Now()}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if n := g.first(); n < len(g.queue) {
		t.reads = slices.Clone(g.queue[:n])
		g.queue = slices.Delete(g.queue, 0, n)
	} else {
		t.reads, g.queue = g.queue, nil
	}
	t.left = len(t.reads)
	for _, a := range t.reads {
		a.group = t
	}
	g.inFlight[t] = struct{}{}
	g.watch()
	return t
}

// first is how many of those who wait one statement has room for.
func (g *groupReader) first() int {
	if len(g.queue) == 1 {
		return 1
	}
	accounts := make(map[events.UUID]struct{}, min(len(g.queue), maxGroupAccounts))
	bytes := 0
	for n, a := range g.queue {
		if _, known := accounts[a.account]; known {
			continue
		}
		if len(accounts) == maxGroupAccounts || n > 0 && bytes+a.most > sharedMost {
			return n
		}
		accounts[a.account] = struct{}{}
		bytes += a.most
	}
	return len(g.queue)
}

// watch looks for lines that are slow, and for reads that have waited for too
// long, as long as there are lines: nobody waits while there is none. g.mu is
// locked.
func (g *groupReader) watch() {
	if !g.watching {
		g.watching = true
		time.AfterFunc(max(slowAfter, 4*g.least), g.bypassSlow)
	}
}

// bypassSlow has those who wait go on without the lines that are slow.
func (g *groupReader) bypassSlow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watching = false; len(g.inFlight) == 0 {
		return
	}
	g.watch()
	slow := time.Now().Add(-max(slowAfter, 4*g.least))
	for t := range g.inFlight {
		if !t.slow && t.began.Before(slow) {
			t.slow = true
			g.slow++
		}
	}
	for len(g.queue) > 0 && g.canStart() {
		go g.runLoop(g.startGroup())
	}
	late := 0 // who is in a statement has another time
	for late < len(g.queue) && time.Since(g.queue[late].since) > queueTimeout {
		g.queue[late].err = ErrBusy
		close(g.queue[late].done)
		late++
	}
	g.queue = slices.Delete(g.queue, 0, late)
}

// run runs a statement, and notes how long it took. What is asked for more than
// once is read once.
func (g *groupReader) run(t *readGroup) {
	defer t.cancel()
	of := make([]request, 0, len(t.reads))
	at := make([]int, len(t.reads))
	if len(t.reads) == 1 {
		of = append(of, t.reads[0].request)
	} else {
		known := make(map[events.UUID]int, len(t.reads))
		for i, a := range t.reads {
			n, ok := known[a.account]
			if !ok {
				n = len(of)
				known[a.account] = n
				of = append(of, a.request)
			} else if a.whole {
				of[n] = a.request
			}
			at[i] = n
		}
	}
	var all []readResult
	var err error
	defer func() {
		thrown := recover()
		g.finish(t, err)
		g.mu.Unlock()
		for i, a := range t.reads {
			if a.err, a.thrown = err, thrown; err == nil && thrown == nil {
				a.found = all[at[i]]
			}
			close(a.done)
		}
	}()
	all, err = g.read(t.ctx, of)
}
