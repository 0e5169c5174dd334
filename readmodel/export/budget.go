package export

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"accountexport/events"
)

// budget is what there is of something that reads take and give back: bytes in
// memory and, where they are used up, bytes in files; or connections. Reads for which
// there is not enough wait, and accounts have their turns one after the other,
// however many reads each of them has waiting. What an account reads as parts of
// documents is bounded by a share for all of its parts, unless it is one alone.
type budget struct {
	// Set before it is used.
	total      grant
	partLimit  int64                // of total, for the parts of documents that one account reads
	wholeLimit int64                // of total, for the whole documents of one account; 0: total
	reclaim    func() (grant, bool) // frees what is held without need; false where nothing is, nil where nothing ever is

	mu                    sync.Mutex // guards what follows; the first lock, see [spoolCache]; never held over I/O, but for reclaim
	freeMemory, freeFiles int64
	parts                 map[events.UUID]int64           // held for parts of documents
	wholes                map[events.UUID]int64           // held for whole documents, where wholeLimit is set
	turns                 []events.UUID                   // accounts that wait, in the order of their turns
	waiting               map[events.UUID][]*budgetWaiter // never empty for an account that is there
}

// grant is what was taken, of memory or of files.
type grant struct {
	memory, files int64
	part          bool        // for a part of a document
	account       events.UUID // whose share it counts for; zero: no account's
}

// budgetWaiter is a read that waits.
type budgetWaiter struct {
	size    int64
	part    bool
	granted chan grant // has room for one
}

func newBudget(memory, files int64) *budget {
	return &budget{freeMemory: memory, freeFiles: files, total: grant{memory: memory, files: files}, partLimit: max(memory, files) / 4,
		parts: map[events.UUID]int64{}, wholes: map[events.UUID]int64{}, waiting: map[events.UUID][]*budgetWaiter{}}
}

// acquire waits for its turn until ctx ends, whose cause is the error then. It fails at
// once where it would wait for ever.
func (b *budget) acquire(ctx context.Context, account events.UUID, size int64) (grant, error) {
	return b.acquireFor(ctx, account, size, false)
}

// acquireFor is acquire for a part of a document, or not.
func (b *budget) acquireFor(ctx context.Context, account events.UUID, size int64, part bool) (grant, error) {
	b.mu.Lock()
	if max := max(b.total.memory, b.total.files); size > max {
		b.mu.Unlock()
		return grant{}, fmt.Errorf("%w: the document has some %d bytes, and there is never room for more than %d: raise API_SPOOL_LIMIT", ErrSpool, size, max)
	}
	w := &budgetWaiter{size: size, part: part, granted: make(chan grant, 1)}
	if b.waiting[account] == nil {
		b.turns = append(b.turns, account)
	}
	b.waiting[account] = append(b.waiting[account], w)
	b.dispatch()
	b.mu.Unlock()
	select {
	case g := <-w.granted:
		return g, nil
	default:
	}
	select {
	case g := <-w.granted:
		return g, nil
	case <-ctx.Done():
		b.leave(account, w)
		return grant{}, context.Cause(ctx)
	}
}

// tryAcquire takes so much where no read waits and it is free at once.
func (b *budget) tryAcquire(size int64) (grant, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.turns) > 0 {
		return grant{}, false
	}
	return b.reserve(size)
}

// resize makes a grant as large as it has to be, where that fits.
func (b *budget) resize(g *grant, size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	free, held := &b.freeMemory, &g.memory
	if g.files > 0 {
		free, held = &b.freeFiles, &g.files
	}
	if size-*held > *free || g.part && b.exceedsLimit(g.account, *held, size, true) {
		return false
	}
	b.count(*g, size-*held)
	*free, *held = *free-(size-*held), size
	b.dispatch()
	return true
}

// release gives a grant back; the zero value gives back nothing.
func (b *budget) release(g grant) {
	if g == (grant{}) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freeMemory, b.freeFiles = b.freeMemory+g.memory, b.freeFiles+g.files
	b.count(g, -g.memory-g.files)
	b.dispatch()
}

// redispatch gives turns where more is held without need than before.
func (b *budget) redispatch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dispatch()
}

// use tells how much there is, how much of it is free, and how many reads wait.
func (b *budget) use() (all, free grant, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, queue := range b.waiting {
		waiting += len(queue)
	}
	return b.total, grant{memory: b.freeMemory, files: b.freeFiles}, waiting
}

// leave takes a read out of the queue, or gives back what it was granted meanwhile.
func (b *budget) leave(account events.UUID, w *budgetWaiter) {
	b.mu.Lock()
	queue := b.waiting[account]
	i := slices.Index(queue, w)
	if i < 0 {
		b.mu.Unlock()
		b.release(<-w.granted)
		return
	}
	defer b.mu.Unlock()
	if queue = slices.Delete(queue, i, i+1); len(queue) > 0 {
		b.waiting[account] = queue
	} else {
		delete(b.waiting, account)
		b.turns = slices.DeleteFunc(b.turns, func(a events.UUID) bool { return a == account })
	}
	b.dispatch()
}
