package export

import (
	"slices"

	"accountexport/events"
)

// dispatch gives turns as far as there is room; b.mu is locked. The first one waits
// until there is enough, so that what is large has its turn, too. But what memory
// has room for passes what never fits into memory, and all others pass what an
// account wants beyond its share.
func (b *budget) dispatch() {
	onlyMemory := false
	for i := 0; i < len(b.turns); {
		account := b.turns[i]
		queue := b.waiting[account]
		n := slices.IndexFunc(queue, func(w *budgetWaiter) bool { return !b.exceedsLimit(account, 0, w.size, w.part) })
		if n < 0 {
			i++
			continue
		}
		w := queue[n]
		if onlyMemory && w.size > b.total.memory {
			i++
			continue
		}
		if onlyMemory && w.size > b.freeMemory {
			return
		}
		g, ok := b.reserve(w.size)
		if !ok && w.size <= b.total.memory {
			return
		} else if !ok {
			onlyMemory = true
			i++
			continue
		}
		if w.part || b.wholeLimit > 0 {
			g.part, g.account = w.part, account
			b.count(g, w.size)
		}
		w.granted <- g
		b.turns = slices.Delete(b.turns, i, i+1)
		if queue = slices.Delete(queue, n, n+1); len(queue) > 0 {
			b.turns = append(b.turns, account)
			b.waiting[account] = queue
		} else {
			delete(b.waiting, account)
		}
	}
}

// reserve takes so much, from what is held without need where it has to; b.mu is locked.
func (b *budget) reserve(size int64) (grant, bool) {
	for {
		switch {
		case size <= b.freeMemory:
			b.freeMemory -= size
			return grant{memory: size}, true
		case size <= b.freeFiles:
			b.freeFiles -= size
			return grant{files: size}, true
		case b.reclaim == nil:
			return grant{}, false
		}
		g, ok := b.reclaim()
		if !ok {
			return grant{}, false
		}
		b.freeMemory, b.freeFiles = b.freeMemory+g.memory, b.freeFiles+g.files
		b.count(g, -g.memory-g.files)
	}
}

// exceedsLimit tells whether a part, or a whole document, of this size would take more
// than its account's share beside what the account has already, of which held is to
// be replaced. b.mu is locked.
func (b *budget) exceedsLimit(account events.UUID, held, size int64, part bool) bool {
	others, limit := b.wholes[account]-held, b.wholeLimit
	if part {
		others, limit = b.parts[account]-held, b.partLimit
	}
	return limit > 0 && others > 0 && others+size > limit
}

// count notes what an account takes, or gives back where more is below zero; b.mu is
// locked.
func (b *budget) count(g grant, more int64) {
	taken := b.wholes
	if g.part {
		taken = b.parts
	}
	if g.account == (events.UUID{}) {
		return
	}
	if taken[g.account] += more; taken[g.account] == 0 {
		delete(taken, g.account)
	}
}
