package engine

import (
	"container/list"

	"accountexport/events"
	"accountexport/projections"
)

// overlayMax is how many bytes of pages and of what waits an account may keep in
// memory after they were written.
const overlayMax = 64 << 10

// cache holds account states, least recently used first out, bounded in bytes.
// An account with changes that are not yet committed is never evicted, since
// the store would answer with an older state.
type cache struct {
	limit int
	size  int
	byID  map[events.UUID]*cacheEntry
	lru   list.List // of *cached, most recently used in front
}

type cacheEntry struct {
	*projections.Account
	size     int
	element  *list.Element
	dirty    bool   // changed since its last flush
	inFlight uint64 // the last batch that holds a change; 0 once it is committed
}

func newCache(limit int) *cache {
	return &cache{limit: limit, byID: map[events.UUID]*cacheEntry{}}
}

func (c *cache) get(id events.UUID) *cacheEntry {
	e := c.byID[id]
	if e != nil {
		c.lru.MoveToFront(e.element)
	}
	return e
}

func (c *cache) add(a *projections.Account) *cacheEntry {
	e := &cacheEntry{Account: a, size: a.Size()}
	e.element = c.lru.PushFront(e)
	c.byID[a.ID()] = e
	c.size += e.size
	return e
}

func (c *cache) resize(e *cacheEntry) {
	n := e.Size()
	c.size += n - e.size
	e.size = n
}

// committed marks the batch's accounts as stored and lets go what is too much.
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

// forget lets go the accounts of a partition, all of which are stored.
func (c *cache) forget(partition int) {
	for id, e := range c.byID {
		if e.Partition() == partition {
			c.lru.Remove(e.element)
			delete(c.byID, id)
			c.size -= e.size
		}
	}
}
