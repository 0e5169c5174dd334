package export

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"accountexport/events"
)

// spoolCache are the documents that are being sent, each version once, however
// many readers it has, for as long as it has any. One that is complete stays a little
// longer where its room is not needed: a client that asks for a large document often
// asks for a part of it next.
//
// Locks are taken in this order: budget.mu, spoolCache.mu, spool.mu. budget.mu is held
// when the budget calls [spoolCache.reclaim], and spoolCache.mu when
// [spool.worthKeeping] looks whether a spool is full. So room is never taken or
// given back while spoolCache.mu is held: it is unlocked first everywhere.
type spoolCache struct {
	dir    string
	budget *budget
	linger time.Duration // how long a complete document stays without readers

	mu     sync.Mutex // guards what follows, and the fields of spools that say so; held while an unlinked file is closed
	spools map[version]*spool
	idle   []*spool // those of spools that have no readers, the longest idle first
}

// version tells documents apart: where it is the same, so are the bytes.
type version struct {
	account events.UUID
	tag     string
	gzip    bool // as a gzip body
}

func newSpoolCache(l Limits, linger time.Duration) *spoolCache {
	s := &spoolCache{dir: l.Dir, budget: newBudget(l.Memory, l.Files), linger: linger, spools: map[version]*spool{}}
	s.budget.wholeLimit = max(l.Memory, l.Files) / 2 // versions of one document may follow each other faster than they are read
	s.budget.reclaim = s.reclaim
	return s
}

// contains tells whether there is a spool of the version.
func (s *spoolCache) contains(key version) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spools[key] != nil
}

// join is the spool of a version. Where there is none it makes one, which fill is
// called to write, by a goroutine of its own; then created is true.
func (s *spoolCache) join(key version, fill func(ctx context.Context, p *spool)) (p *spool, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.spools[key]; p != nil {
		p.addReader()
		return p, false
	}
	p = s.newUnshared(key)
	s.spools[key] = p
	p.start(fill)
	return p, true
}

// insert is the spool of a document that was read already. It takes room out of the
// grant, or where that is empty what is free at once; [errNoRoom] where that does not
// suffice. The grant is the spool's from then on, or given back.
func (s *spoolCache) insert(account events.UUID, f readResult, room grant) (*spool, error) {
	key := version{account, f.meta.ETag(), false}
	s.mu.Lock()
	if p := s.spools[key]; p != nil {
		p.addReader()
		s.mu.Unlock()
		s.budget.release(room)
		return p, nil
	}
	s.mu.Unlock()
	size := int64(len(f.body))
	if ok := room != (grant{}); ok && !s.budget.resize(&room, size) {
		s.budget.release(room)
		return nil, errNoRoom
	} else if !ok {
		if room, ok = s.budget.tryAcquire(size); !ok {
			return nil, errNoRoom
		}
	}
	p := s.newUnshared(key)
	if room.files == 0 {
		p.memory = f.body
	}
	if err := p.begin(f.meta, size, room); err != nil {
		p.removeReader()
		return nil, err
	}
	if p.file == nil {
		p.written = size
		p.publish(nil)
	} else if err := p.end(p.put(f.body)); err != nil { // the body goes to the file at once
		p.removeReader()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spools[key] == nil {
		s.spools[key] = p
	}
	return p, nil
}

// errNoRoom means that there is no room at once.
var errNoRoom = errors.New("no room for the document")

// newUnshared is a spool with one reader that no other read finds.
func (s *spoolCache) newUnshared(key version) *spool {
	return &spool{cache: s, key: key, readers: 1, begun: make(chan struct{}), changed: make(chan struct{}), cancel: func() {}}
}

// setVersion notes which version a spool has turned out to be.
func (s *spoolCache) setVersion(p *spool, m Meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.sized = true
	if s.spools[p.key] != p || p.key.tag == m.ETag() {
		return
	}
	delete(s.spools, p.key)
	if p.key.tag = m.ETag(); s.spools[p.key] == nil {
		s.spools[p.key] = p
	}
}

// expire removes a spool that has been idle for linger. One that was read meanwhile
// and is idle again is removed by this as well, a little before its time.
func (s *spoolCache) expire(p *spool) {
	s.mu.Lock()
	i := slices.Index(s.idle, p)
	if i < 0 {
		s.mu.Unlock()
		return
	}
	s.forget(i)
	g := p.close()
	s.mu.Unlock()
	s.budget.release(g)
}

// reclaim closes the spool that has been idle for longest, and returns its grant; false
// where none is idle. It is called by the budget, whose lock is held and which takes
// the grant back itself.
func (s *spoolCache) reclaim() (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return grant{}, false
	}
	p := s.idle[0]
	s.forget(0)
	return p.close(), true
}

// forget takes one out of those that are idle; s.mu is locked.
func (s *spoolCache) forget(i int) {
	delete(s.spools, s.idle[i].key)
	s.idle = slices.Delete(s.idle, i, i+1)
}
