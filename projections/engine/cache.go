package engine

import (
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

	// The entries are a ring by their last use. This one stands for none: newer than it is
	// the least recently used, and older the most.
	ring cacheEntry
}

// cacheEntry is one account in the cache.
type cacheEntry struct {
	*projections.Account
	size     int    // as counted in cache.size; may lag behind until the next flush
	dirty    bool   // changed since its last flush
	inFlight uint64 // the last batch with a change of the account; 0 once that is committed

	// The neighbours in the cache's ring: the entry used right after this one's last use,
	// and the one right before. A list whose elements are apart from the entries would be
	// one more object an account for the collector to visit.
	newer, older *cacheEntry
}

func newCache(limit int) *cache {
	c := &cache{limit: limit, byID: map[events.UUID]*cacheEntry{}}
	c.ring.newer, c.ring.older = &c.ring, &c.ring
	return c
}

// unlink takes an entry out of the ring.
func (c *cache) unlink(e *cacheEntry) {
	e.newer.older, e.older.newer = e.older, e.newer
	e.newer, e.older = nil, nil
}

// link makes an entry that is in no ring the most recently used.
func (c *cache) link(e *cacheEntry) {
	e.newer, e.older = &c.ring, c.ring.older
	e.newer.older, e.older.newer = e, e
}

// drop removes an entry.
func (c *cache) drop(e *cacheEntry) {
	c.unlink(e)
	delete(c.byID, e.ID())
	c.size -= e.size
}

// get returns an account, nil where it is not cached, and marks it as used.
func (c *cache) get(id events.UUID) *cacheEntry {
	e := c.byID[id]
	if e != nil && c.ring.older != e {
		c.unlink(e)
		c.link(e)
	}
	return e
}

// add caches an account that is not cached yet.
func (c *cache) add(a *projections.Account) *cacheEntry {
	e := &cacheEntry{Account: a, size: a.Size()}
	c.link(e)
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
		// An account that has not changed again meanwhile is unlikely to be needed soon.
		if !e.dirty && c.size > c.limit/2 {
			e.Compact()
			c.resize(e)
		}
	}
	for e := c.ring.newer; e != &c.ring && c.size > c.limit; {
		next := e.newer
		if !e.dirty && e.inFlight == 0 {
			c.drop(e)
		}
		e = next
	}
}

// forget drops the accounts of a partition: those of a revoked partition are stored,
// and those of a fenced one are out of date.
func (c *cache) forget(partition int) {
	for _, e := range c.byID {
		if e.Partition() == partition {
			c.drop(e)
		}
	}
}
