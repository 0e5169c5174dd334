package export

import (
	"slices"
	"time"
)

// addReader adds a reader; cache.mu is locked.
func (p *spool) addReader() {
	if p.readers++; p.readers == 1 {
		p.cache.idle = slices.DeleteFunc(p.cache.idle, func(i *spool) bool { return i == p })
	}
}

// removeReader is called by each reader once. After the last one the spool is removed,
// or where it is complete becomes idle. Nothing is freed while it is being written:
// where the document is not complete by then the writer is ended, and frees it.
func (p *spool) removeReader() {
	p.cache.mu.Lock()
	if p.readers--; p.readers > 0 {
		p.cache.mu.Unlock()
		return
	}
	if !p.worthKeeping() {
		if p.cache.spools[p.key] == p {
			delete(p.cache.spools, p.key)
		}
		p.abandoned = true
	}
	p.releaseUnread()
}

// writerDone is called by the writer at its end.
func (p *spool) writerDone() {
	p.cancel()
	p.cache.mu.Lock()
	p.writing = false
	if p.readers > 0 {
		p.cache.mu.Unlock()
		return
	}
	if !p.abandoned && !p.worthKeeping() {
		p.abandoned = true
	}
	p.releaseUnread()
}

// worthKeeping tells whether the spool is worth keeping for the next reader; cache.mu
// is locked.
func (p *spool) worthKeeping() bool {
	if !p.sized || p.cache.linger == 0 || p.cache.spools[p.key] != p {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err == nil && p.filled == p.size
}

// releaseUnread frees a spool that has no readers, or makes it idle, as soon as it has
// no writer. It unlocks cache.mu.
func (p *spool) releaseUnread() {
	s := p.cache
	switch {
	case p.writing && p.abandoned:
		s.mu.Unlock()
		p.cancel()
	case p.writing:
		s.mu.Unlock()
	case p.abandoned:
		g := p.close()
		s.mu.Unlock()
		s.budget.release(g)
	default:
		s.idle = append(s.idle, p)
		s.mu.Unlock()
		time.AfterFunc(s.linger, func() { s.expire(p) })
		s.budget.redispatch() // a read that waits may have its room
	}
}

// close frees what the document is in, once, and returns its grant; cache.mu is
// locked.
func (p *spool) close() grant {
	if p.file != nil {
		p.file.Close()
	}
	g := p.grant
	p.memory, p.grant, p.closed = nil, grant{}, true
	return g
}
