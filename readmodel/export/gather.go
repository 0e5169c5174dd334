package export

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/events"
)

const (
	gatherLines = 2                      // statements under way at once before reads are put together, where the database is near
	gatherMost  = 64                     // accounts in one statement
	lineFor     = 500 * time.Microsecond // of a statement's time there is one more
	slowAfter   = 5 * time.Millisecond   // a statement at least, before others do not wait for it
)

// gather puts reads that come at the same time into one statement, which costs
// client and server little more than one read does. Nobody is waited for: a
// read begins at once while few statements are under way, and otherwise when
// the next one ends, with all that came meanwhile. How many are few follows
// from how long one takes at least, which is the way to the database and back;
// there are never more than connections. A statement that takes far longer does
// not count: as long as there are connections, all who wait go on without it.
// Where the server refuses a statement for several, each of them has its own.
type gather struct {
	read func(ctx context.Context, of []request) ([]found, error) // one for each
	most int                                                      // statements under way at once: so many connections

	mu       sync.Mutex
	waiting  []*asked // in the order in which they came
	lines    map[*together]struct{}
	slow     int           // of the lines
	least    time.Duration // that a statement takes
	watching bool          // for lines that are slow
}

// asked is a read that waits for its statement, or is in it.
type asked struct {
	request
	since  time.Time
	in     *together     // guarded by gather.mu; nil while it waits
	done   chan struct{} // closed once what follows is known
	found  found
	err    error
	thrown any // what the statement's goroutine panicked with
}

// together is a statement for several reads, which ends when they all have
// left.
type together struct {
	ctx    context.Context
	cancel context.CancelFunc
	began  time.Time
	slow   bool // guarded by gather.mu
	reads  []*asked
	left   int // reads that still want it; guarded by gather.mu
}

func newGather(most int, read func(context.Context, []request) ([]found, error)) *gather {
	return &gather{read: read, most: most, lines: map[*together]struct{}{}}
}

// get reads an account. The statement sees all that was committed before get
// was called.
func (g *gather) get(ctx context.Context, r request) (found, error) {
	g.mu.Lock()
	if len(g.lines) == 0 && len(g.waiting) == 0 {
		t := &together{began: time.Now()}
		g.lines[t] = struct{}{}
		g.watch()
		g.mu.Unlock()
		return g.alone(ctx, t, r)
	}
	a := &asked{request: r, since: time.Now(), done: make(chan struct{})}
	g.waiting = append(g.waiting, a)
	if g.free() {
		g.mu.Unlock()
		runtime.Gosched() // who is about to ask comes along
		g.mu.Lock()
	}
	var t *together
	if g.free() {
		t = g.take()
	}
	mine := t != nil && len(t.reads) == 1 && t.reads[0] == a
	if mine {
		t.ctx = ctx
	}
	g.mu.Unlock()
	if mine {
		g.run(t)
		if t = g.more(); t != nil {
			go g.line(t)
		}
	} else if t != nil {
		go g.line(t)
	}
	return g.await(ctx, a)
}

// alone is a statement for one read, where nothing else is under way: by the
// goroutine that asks, without company to look out for.
func (g *gather) alone(ctx context.Context, t *together, r request) (found, error) {
	err := errors.New("it did not end") // a panic
	defer func() {
		if g.ended(t, err); len(g.waiting) > 0 && g.free() {
			go g.line(g.take())
		}
		g.mu.Unlock()
	}()
	var all []found
	if all, err = g.read(ctx, []request{r}); err != nil {
		return found{}, err
	}
	return all[0], nil
}

// ended takes a statement out of those that are under way, and notes how long
// it took. It leaves g.mu locked.
func (g *gather) ended(t *together, err error) {
	g.mu.Lock()
	delete(g.lines, t)
	if t.slow {
		g.slow--
	}
	if took := time.Since(t.began); err == nil && (took < g.least || g.least == 0) {
		g.least = took
	} else if err == nil {
		g.least += (min(took, 2*g.least) - g.least) / 256 // the way may have become longer
	}
}

// free tells whether another statement may begin; g.mu is locked.
func (g *gather) free() bool {
	return len(g.lines) < min(g.most, g.slow+max(gatherLines, int(g.least/lineFor)))
}

func (g *gather) await(ctx context.Context, a *asked) (found, error) {
	select {
	case <-a.done:
	case <-ctx.Done():
		g.leave(a)
		return found{}, context.Cause(ctx)
	}
	var refused *pgconn.PgError
	switch {
	case a.thrown != nil:
		panic(a.thrown)
	case errors.As(a.err, &refused) && len(a.in.reads) > 1:
		all, err := g.read(ctx, []request{a.request})
		if err != nil {
			return found{}, err
		}
		return all[0], nil
	}
	return a.found, a.err
}

// withdrawn takes a read that still waits out of the queue.
func (g *gather) withdrawn(a *asked) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, a)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

func (g *gather) leave(a *asked) {
	if g.withdrawn(a) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.in == nil {
		return // it has just been told that it waited for too long
	}
	if a.in.left--; a.in.left == 0 {
		a.in.cancel()
	}
}

// line runs a statement, and then others for those who come to wait meanwhile.
func (g *gather) line(t *together) {
	for ; t != nil; t = g.more() {
		g.run(t)
		runtime.Gosched() // who was answered may ask again
	}
}

// more begins with those who wait; nil where there are none.
func (g *gather) more() *together {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.free() {
		return nil
	}
	return g.take()
}

// take begins a statement with the first who wait; g.mu is locked.
func (g *gather) take() *together {
	if len(g.waiting) == 0 {
		return nil
	}
	t := &together{began: time.Now()}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if n := g.first(); n < len(g.waiting) {
		t.reads = slices.Clone(g.waiting[:n])
		g.waiting = slices.Delete(g.waiting, 0, n)
	} else {
		t.reads, g.waiting = g.waiting, nil
	}
	t.left = len(t.reads)
	for _, a := range t.reads {
		a.in = t
	}
	g.lines[t] = struct{}{}
	g.watch()
	return t
}

// first is how many of those who wait one statement has room for.
func (g *gather) first() int {
	if len(g.waiting) == 1 {
		return 1
	}
	accounts := make(map[events.UUID]struct{}, min(len(g.waiting), gatherMost))
	bytes := 0
	for n, a := range g.waiting {
		if _, known := accounts[a.account]; known {
			continue
		}
		if len(accounts) == gatherMost || n > 0 && bytes+a.most > sharedMost {
			return n
		}
		accounts[a.account] = struct{}{}
		bytes += a.most
	}
	return len(g.waiting)
}

// watch looks for lines that are slow, and for reads that have waited for too
// long, as long as there are lines: nobody waits while there is none. g.mu is
// locked.
func (g *gather) watch() {
	if !g.watching {
		g.watching = true
		time.AfterFunc(max(slowAfter, 4*g.least), g.overtake)
	}
}

// overtake has those who wait go on without the lines that are slow.
func (g *gather) overtake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watching = false; len(g.lines) == 0 {
		return
	}
	g.watch()
	slow := time.Now().Add(-max(slowAfter, 4*g.least))
	for t := range g.lines {
		if !t.slow && t.began.Before(slow) {
			t.slow = true
			g.slow++
		}
	}
	for len(g.waiting) > 0 && g.free() {
		go g.line(g.take())
	}
	late := 0 // who is in a statement has another time
	for late < len(g.waiting) && time.Since(g.waiting[late].since) > turnTimeout {
		g.waiting[late].err = ErrBusy
		close(g.waiting[late].done)
		late++
	}
	g.waiting = slices.Delete(g.waiting, 0, late)
}

// run runs a statement, and notes how long it took. What is asked for more than
// once is read once.
func (g *gather) run(t *together) {
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
	var all []found
	var err error
	defer func() {
		thrown := recover()
		g.ended(t, err)
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
