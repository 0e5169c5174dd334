package export

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"accountexport/events"
)

// budget is what there is of something that reads take and give back: bytes in
// memory, and where they are used up bytes in files, or connections. What does
// not fit waits, and accounts have their turns one after the other, however
// many reads each of them has. Who takes room for a part of a document has no
// more than a share for all of them, unless it is one alone.
type budget struct {
	mu            sync.Mutex
	memory, files int64 // that are free
	all           grant // that there are
	accounts      []events.UUID
	partLimit     int64                           // of all, for the parts that one account reads
	parts         map[events.UUID]int64           // what is taken for those
	wholeLimit    int64                           // of all, for the whole documents of one account; 0: all
	wholes        map[events.UUID]int64           // what is taken for those
	waiting       map[events.UUID][]*budgetWaiter // never empty for an account that is there
	reclaim       func() (grant, bool)            // gets back what is held without need; nil where nothing is
}

// grant is what was taken, of the one kind or of the other.
type grant struct {
	memory, files int64
	part          bool        // of a document
	account       events.UUID // where it counts
}

// budgetWaiter is one who waits.
type budgetWaiter struct {
	size  int64
	part  bool
	taken chan grant // of one
}

func newBudget(memory, files int64) *budget {
	return &budget{memory: memory, files: files, all: grant{memory: memory, files: files}, partLimit: max(memory, files) / 4,
		parts: map[events.UUID]int64{}, wholes: map[events.UUID]int64{}, waiting: map[events.UUID][]*budgetWaiter{}}
}

// acquire waits for its turn until ctx ends, which says why, and not where it would
// wait for ever.
func (r *budget) acquire(ctx context.Context, account events.UUID, size int64) (grant, error) {
	return r.acquireFor(ctx, account, size, false)
}

// acquireFor is take for a part of a document, or not.
func (r *budget) acquireFor(ctx context.Context, account events.UUID, size int64, part bool) (grant, error) {
	r.mu.Lock()
	if most := max(r.all.memory, r.all.files); size > most {
		r.mu.Unlock()
		return grant{}, fmt.Errorf("%w: the document has some %d bytes, and there is never room for more than %d: raise API_SPOOL_LIMIT", ErrSpool, size, most)
	}
	t := &budgetWaiter{size: size, part: part, taken: make(chan grant, 1)}
	if r.waiting[account] == nil {
		r.accounts = append(r.accounts, account)
	}
	r.waiting[account] = append(r.waiting[account], t)
	r.dispatch()
	r.mu.Unlock()
	select {
	case g := <-t.taken:
		return g, nil
	default:
	}
	select {
	case g := <-t.taken:
		return g, nil
	case <-ctx.Done():
		r.leave(account, t)
		return grant{}, context.Cause(ctx)
	}
}

// use tells how much there is, how much of it is free, and how many wait.
func (r *budget) use() (all, free grant, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, queue := range r.waiting {
		waiting += len(queue)
	}
	return r.all, grant{memory: r.memory, files: r.files}, waiting
}

// tryAcquire takes it where nobody waits and it fits.
func (r *budget) tryAcquire(size int64) (grant, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.accounts) > 0 {
		return grant{}, false
	}
	return r.reserve(size)
}

// resize makes a grant as large as it has to be, where that fits.
func (r *budget) resize(g *grant, size int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, held := &r.memory, &g.memory
	if g.files > 0 {
		free, held = &r.files, &g.files
	}
	if size-*held > *free || g.part && r.exceedsLimit(g.account, *held, size, true) {
		return false
	}
	r.count(*g, size-*held)
	*free, *held = *free-(size-*held), size
	r.dispatch()
	return true
}

func (r *budget) release(g grant) {
	if g == (grant{}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory, r.files = r.memory+g.memory, r.files+g.files
	r.count(g, -g.memory-g.files)
	r.dispatch()
}

// count notes what an account takes.
func (r *budget) count(g grant, more int64) {
	of := r.wholes
	if g.part {
		of = r.parts
	}
	if g.account == (events.UUID{}) {
		return
	}
	if of[g.account] += more; of[g.account] == 0 {
		delete(of, g.account)
	}
}

// exceedsLimit tells whether a part, or a whole document, would take more than its
// account's share, beside others, where it has so much already.
func (r *budget) exceedsLimit(account events.UUID, has, size int64, part bool) bool {
	others, share := r.wholes[account]-has, r.wholeLimit
	if part {
		others, share = r.parts[account]-has, r.partLimit
	}
	return share > 0 && others > 0 && others+size > share
}

// redispatch gives turns where what is held without need has become more.
func (r *budget) redispatch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dispatch()
}

func (r *budget) reserve(size int64) (grant, bool) {
	for {
		switch {
		case size <= r.memory:
			r.memory -= size
			return grant{memory: size}, true
		case size <= r.files:
			r.files -= size
			return grant{files: size}, true
		case r.reclaim == nil:
			return grant{}, false
		}
		g, ok := r.reclaim()
		if !ok {
			return grant{}, false
		}
		r.memory, r.files = r.memory+g.memory, r.files+g.files
		r.count(g, -g.memory-g.files)
	}
}

// dispatch gives turns as far as there is room. Who is first waits until there is
// enough, so that what is large has its turn, too; what memory has room for
// passes what never fits there, and all others pass what an account wants beyond
// its share.
func (r *budget) dispatch() {
	onlyMemory := false
	for i := 0; i < len(r.accounts); {
		account := r.accounts[i]
		queue := r.waiting[account]
		n := slices.IndexFunc(queue, func(t *budgetWaiter) bool { return !r.exceedsLimit(account, 0, t.size, t.part) })
		if n < 0 {
			i++
			continue
		}
		t := queue[n]
		if onlyMemory && t.size > r.all.memory {
			i++
			continue
		}
		if onlyMemory && t.size > r.memory {
			return
		}
		g, ok := r.reserve(t.size)
		if !ok && t.size <= r.all.memory {
			return
		} else if !ok {
			onlyMemory = true
			i++
			continue
		}
		if t.part || r.wholeLimit > 0 {
			g.part, g.account = t.part, account
			r.count(g, t.size)
		}
		t.taken <- g
		r.accounts = slices.Delete(r.accounts, i, i+1)
		if queue = slices.Delete(queue, n, n+1); len(queue) > 0 {
			r.accounts = append(r.accounts, account)
			r.waiting[account] = queue
		} else {
			delete(r.waiting, account)
		}
	}
}

// leave takes one out of the queue, or gives back what it got meanwhile.
func (r *budget) leave(account events.UUID, t *budgetWaiter) {
	r.mu.Lock()
	queue := r.waiting[account]
	i := slices.Index(queue, t)
	if i < 0 {
		r.mu.Unlock()
		r.release(<-t.taken)
		return
	}
	defer r.mu.Unlock()
	if queue = slices.Delete(queue, i, i+1); len(queue) > 0 {
		r.waiting[account] = queue
	} else {
		delete(r.waiting, account)
		r.accounts = slices.DeleteFunc(r.accounts, func(a events.UUID) bool { return a == account })
	}
	r.dispatch()
}
