package readmodel

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
	gatherLines = 2                    // statements under way at once before reads are put together
	gatherMost  = 64                   // reads in one statement
	gatherFor   = 2 * time.Millisecond // that a read waits for others' statement at most; then it goes by itself
)

// gather puts reads that come at the same time into one statement, which costs
// client and server little more than one read does. Nobody is waited for: a
// read begins at once while fewer than [gatherLines] statements are under way,
// and otherwise when the next one ends, with all that came meanwhile. What
// fails or is slow stays with those it concerns: who has waited for
// [gatherFor] goes by itself, and where the server refuses a statement for
// several, each of them has its own.
type gather struct {
	alone   func(ctx context.Context, account events.UUID) (found, error)
	several func(ctx context.Context, accounts []events.UUID) (map[events.UUID]found, error)

	mu      sync.Mutex
	busy    int      // lines
	waiting []*asked // in the order in which they came
}

// asked is a read that waits for its statement, or is in it.
type asked struct {
	account events.UUID
	in      *together     // guarded by gather.mu; nil while it waits
	done    chan struct{} // closed once what follows is known
	found   found
	err     error
	thrown  any // what the statement's goroutine panicked with
}

// together is a statement for several reads, which ends when they all have
// left.
type together struct {
	ctx    context.Context
	cancel context.CancelFunc
	reads  []*asked
	left   int // reads that still want it; guarded by gather.mu
}

// get reads an account. The statement sees all that was committed before get
// was called.
func (g *gather) get(ctx context.Context, account events.UUID) (found, error) {
	g.mu.Lock()
	lead := g.busy < gatherLines
	if lead {
		g.busy++
		g.mu.Unlock()
		runtime.Gosched() // who is about to ask comes along
		g.mu.Lock()
		if len(g.waiting) == 0 {
			g.mu.Unlock()
			defer g.next()
			return g.alone(ctx, account)
		}
	}
	a := &asked{account: account, done: make(chan struct{})}
	g.waiting = append(g.waiting, a)
	g.mu.Unlock()
	if lead {
		g.next()
	}
	return g.await(ctx, a)
}

func (g *gather) await(ctx context.Context, a *asked) (found, error) {
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	select {
	case <-a.done:
	case <-ctx.Done():
	case <-timer.C:
		if g.withdrawn(a) {
			return g.alone(ctx, a.account)
		}
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		g.leave(a)
		return found{}, ctx.Err()
	}
	var refused *pgconn.PgError
	switch {
	case a.thrown != nil:
		panic(a.thrown)
	case errors.As(a.err, &refused) && len(a.in.reads) > 1:
		return g.alone(ctx, a.account)
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
	if a.in.left--; a.in.left == 0 {
		a.in.cancel()
	}
}

// next gives a line that has become free to those who wait.
func (g *gather) next() {
	t := g.take()
	if t == nil {
		return
	}
	go func() {
		for ; t != nil; t = g.take() {
			g.read(t)
			runtime.Gosched() // who was answered may ask again
		}
	}()
}

// take is nil where nobody waits; the line is free then.
func (g *gather) take() *together {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), gatherMost)
	if n == 0 {
		g.busy--
		return nil
	}
	t := &together{reads: slices.Clone(g.waiting[:n]), left: n}
	g.waiting = slices.Delete(g.waiting, 0, n)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	for _, a := range t.reads {
		a.in = t
	}
	return t
}

func (g *gather) read(t *together) {
	defer t.cancel()
	var all map[events.UUID]found
	var err error
	defer func() {
		thrown := recover()
		for _, a := range t.reads {
			a.found, a.err, a.thrown = all[a.account], err, thrown
			close(a.done)
		}
	}()
	if len(t.reads) == 1 {
		var one found
		one, err = g.alone(t.ctx, t.reads[0].account)
		all = map[events.UUID]found{t.reads[0].account: one}
		return
	}
	accounts := make([]events.UUID, len(t.reads))
	for i, a := range t.reads {
		accounts[i] = a.account
	}
	all, err = g.several(t.ctx, accounts)
}
