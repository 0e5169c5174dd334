package engine

import (
	"container/list"

	"accountexport/events"
	"accountexport/projections"
)

// overlayMax is how many bytes of pages and waiting patches an account may keep in
// memory once they are stored.
const overlayMax = 64 << 10

// cache holds account states, bounded in bytes, and evicts the least recently used
// first. It never evicts an account with changes that are not committed yet, since
// the store would answer with an older state; so it can be larger than its limit by
// what one or two batches change. It belongs to its lane's goroutine.
type cache struct {
	limit int
	size  int
	byID  map[events.UUID]*cacheEntry
	lru   list.List // of *cacheEntry, the most recently used in front
}

// cacheEntry is one account in the cache.
type cacheEntry struct {
	*projections.Account
	size     int // as counted in cache.size; may lag behind until the next flush
	element  *list.Element
	dirty    bool   // changed since its last flush
	inFlight uint64 // the last batch with a change of the account; 0 once that is committed
}

func newCache(limit int) *cache {
	return &cache{limit: limit, byID: map[events.UUID]*cacheEntry{}}
}

// get returns an account, nil where it is not cached, and marks it as used.
func (c *cache) get(id events.UUID) *cacheEntry {
	e := c.byID[id]
	if e != nil {
		c.lru.MoveToFront(e.element)
	}
	return e
}

// add caches an account that is not cached yet.
func (c *cache) add(a *projections.Account) *cacheEntry {
	e := &cacheEntry{Account: a, size: a.Size()}
	e.element = c.lru.PushFront(e)
	c.byID[a.ID()] = e
	c.size += e.size
	return e
}

// resize counts the size that the account has now.
func (c *cache) resize(e *cacheEntry) {
	n := e.Size()
	c.size += n - e.size
	e.size = n
}

// committed marks the batch's accounts as stored, trims those that hold too much, and
// evicts until the cache is within its limit.
func (c *cache) committed(batch uint64, accounts []*cacheEntry) {
	for _, e := range accounts {
		if e.inFlight != batch {
			continue
		}
		e.inFlight = 0
		if e.Overlay() > min(overlayMax, c.limit) {
			e.Trim()
			c.resize(e)
		}
	}
	for el := c.lru.Back(); el != nil && c.size > c.limit; {
		e, prev := el.Value.(*cacheEntry), el.Prev()
		if !e.dirty && e.inFlight == 0 {
			c.lru.Remove(el)
			delete(c.byID, e.ID())
			c.size -= e.size
		}
		el = prev
	}
}

// forget drops the accounts of a partition: those of a revoked partition are stored,
// and those of a fenced one are out of date.
func (c *cache) forget(partition int) {
	for id, e := range c.byID {
		if e.Partition() == partition {
			c.lru.Remove(e.element)
			delete(c.byID, id)
			c.size -= e.size
		}
	}
}
