package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"accountexport/events"
)

// smallMost is how long a document is at most that is not counted: each of
// those that are being sent has a connection of its own, which counts.
const smallMost = 16 << 10

// spoolCache are the documents that are being sent, each version once, however
// many read it, and as long as somebody does. One that is whole stays a little
// longer where its room is not needed: who asks for a large document often asks
// for some of it next.
type spoolCache struct {
	dir    string
	budget *budget
	linger time.Duration // how much longer

	mu   sync.Mutex
	all  map[version]*spool
	idle []*spool // of all, those that nobody reads; the one that is idle for longest first
}

// version tells documents apart: where it is the same, so are the bytes.
type version struct {
	account events.UUID
	tag     string
}

func newSpoolCache(l Limits, linger time.Duration) *spoolCache {
	s := &spoolCache{dir: l.Dir, budget: newBudget(l.Memory, l.Files), linger: linger, all: map[version]*spool{}}
	s.budget.wholeLimit = max(l.Memory, l.Files) / 2 // versions of one document may follow each other faster than they are read
	s.budget.reclaim = s.reclaim
	return s
}

// spool is a document, or a part of one, on its way from the database to those
// who read it. One writes it, as fast as the database gives it.
type spool struct {
	cache  *spoolCache
	begun  chan struct{}      // closed once what follows is known, or that there is none
	meta   Meta               // its State may have come to be another than Complete
	size   int64              // of all that is going to be in it
	cancel context.CancelFunc // ends the writing

	key       version // guarded by of.mu, as are these
	readers   int
	known     bool // begun is closed, without an error
	writing   bool // somebody may still write it
	abandoned bool // nobody reads what is not whole yet
	gone      bool // what it took was given back
	held      grant

	memory []byte   // what it is in: this, or a file; set before begun is closed
	file   *os.File // of which what was put and is not shown is in piece
	at     int64    // how much was put; the writer's own, as are these
	piece  []byte
	by     string // snapshot.written

	mu     sync.Mutex
	filled int64         // how much may be read
	grown  chan struct{} // closed when filled or err changes
	err    error
}

// join is the spool of a version, which fill is called to write, by a
// goroutine of its own, where there is none; then it is mine.
func (s *spoolCache) join(key version, fill func(ctx context.Context, p *spool)) (p *spool, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.all[key]; p != nil {
		p.addReader()
		return p, false
	}
	p = s.newUnshared(key)
	s.all[key] = p
	p.start(fill)
	return p, true
}

// start calls fill to write it, by a goroutine of its own. A panic there is an
// error for those who read it, and for nobody else.
func (p *spool) start(fill func(ctx context.Context, p *spool)) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.writing = cancel, true
	go func() {
		defer p.wrote()
		defer func() {
			if thrown := recover(); thrown != nil {
				_ = p.end(fmt.Errorf("panic while the document was written: %v\n%s", thrown, debug.Stack()))
			}
		}()
		fill(ctx, p)
	}()
}

// newUnshared is a spool that is not shared.
func (s *spoolCache) newUnshared(key version) *spool {
	return &spool{cache: s, key: key, readers: 1, begun: make(chan struct{}), grown: make(chan struct{}), cancel: func() {}}
}

// ErrSpool means that files of documents cannot be made, written or read.
var ErrSpool = errors.New("spool")

// errNoRoom means that there is none at once.
var errNoRoom = errors.New("no room for the document")

// insert is the spool of a document that was read already. It takes what is in
// room, or where that is empty what is free at once, which may not suffice.
func (s *spoolCache) insert(account events.UUID, f readResult, room grant) (*spool, error) {
	key := version{account, f.meta.ETag()}
	s.mu.Lock()
	if p := s.all[key]; p != nil {
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
		p.at = size
		p.publish(nil)
	} else if err := p.end(p.put(f.body)); err != nil { // straight to the file
		p.removeReader()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[key] == nil {
		s.all[key] = p
	}
	return p, nil
}

// has tells whether somebody reads the version.
func (s *spoolCache) has(key version) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[key] != nil
}

// begin says how long the document is, and of which version, and makes room
// for it out of what was taken. It gives that back, at the latest when the
// spool goes.
func (p *spool) begin(m Meta, size int64, g grant) error {
	if !p.hold(g) {
		p.cache.budget.release(g)
		return errAbandoned
	}
	p.meta, p.size = m, size
	switch {
	case p.memory != nil:
	case g.files == 0:
		p.memory = make([]byte, size)
	default:
		f, err := createSpool(p.cache.dir, size)
		if err != nil {
			return err
		}
		p.file = f
	}
	p.cache.know(p, m)
	close(p.begun)
	return nil
}

// writes tells, to who writes it, whether it has begun.
func (p *spool) writes() bool {
	select {
	case <-p.begun:
		return true
	default:
		return false
	}
}

// errVersionChanged means that a document that was cut off cannot be gone on with.
var errVersionChanged = errors.New("the document has become another")

// resume puts what is not there yet of a document that is read from its beginning
// once more. It has to be what was written by the same.
func (p *spool) resume(by string, size int64) (put func([]byte) error, err error) {
	if p.by == "" {
		p.by = by
	}
	if by != p.by || size != p.size {
		return nil, errVersionChanged
	}
	there := p.at
	return func(b []byte) error {
		n := min(there, int64(len(b)))
		if there, b = there-n, b[n:]; len(b) == 0 {
			return nil
		}
		return p.put(b)
	}, nil
}

// errAbandoned means that nobody reads the document any more.
var errAbandoned = errors.New("nobody reads the document")

// hold notes what was taken for it, where it is wanted.
func (p *spool) hold(g grant) bool {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	if p.abandoned || p.gone {
		return false
	}
	p.held = g
	return true
}

// know notes which version it has come to be.
func (s *spoolCache) know(p *spool, m Meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.known = true
	if s.all[p.key] != p || p.key.tag == m.ETag() {
		return
	}
	delete(s.all, p.key)
	if p.key.tag = m.ETag(); s.all[p.key] == nil {
		s.all[p.key] = p
	}
}

// createSpool makes a file without a name, for nobody else, that has room.
func createSpool(dir string, size int64) (*os.File, error) {
	f, err := os.CreateTemp(dir, "accountexport-spool-") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	if err := errors.Join(os.Remove(f.Name()), allocate(f, size)); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w %d bytes: %w", ErrSpool, size, err)
	}
	return f, nil
}

// CheckSpool tells whether files can be made and written in the folder.
func CheckSpool(dir string) error {
	f, err := createSpool(dir, 1)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{0}, 0)
	return errors.Join(err, f.Close())
}

// pieceMost is how much is put before it is shown to those who read, and how
// much one who writes to a file has in memory.
const pieceMost = 128 << 10

// put adds to it. One goroutine writes; what it has put, all may read.
func (p *spool) put(b []byte) error {
	if p.at+int64(len(b)) > p.size {
		return fmt.Errorf("the document is longer than the %d bytes that it was said to have", p.size)
	}
	if p.file != nil {
		return p.store(b)
	}
	copy(p.memory[p.at:], b)
	p.at += int64(len(b))
	p.publish(nil)
	return nil
}

// store puts b in the file: what is short by way of the piece, what is long, or
// all there is, straight.
func (p *spool) store(b []byte) error {
	if len(p.piece)+len(b) > pieceMost {
		if err := p.flush(); err != nil {
			return err
		}
	}
	last := p.at+int64(len(b)) == p.size
	if len(b) > pieceMost || last && len(p.piece) == 0 {
		if _, err := p.file.WriteAt(b, p.at); err != nil {
			return fmt.Errorf("%w: %w", ErrSpool, err)
		}
		p.at += int64(len(b))
		p.publish(nil)
	} else {
		if p.piece == nil {
			p.piece = make([]byte, 0, pieceMost)
		}
		p.piece = append(p.piece, b...)
		p.at += int64(len(b))
	}
	if !last {
		return nil
	}
	err := p.flush()
	p.piece = nil
	return err
}

// flush writes the piece to the file, and shows it.
func (p *spool) flush() error {
	if len(p.piece) == 0 {
		return nil
	}
	if _, err := p.file.WriteAt(p.piece, p.at-int64(len(p.piece))); err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, err)
	}
	p.piece = p.piece[:0]
	p.publish(nil)
	return nil
}

// end says that nothing more comes, because of err or because all is there.
func (p *spool) end(err error) error {
	begun := false
	select {
	case <-p.begun:
		begun = true
	default:
	}
	if err == nil && !begun {
		err = errors.New("the document was not begun")
	} else if err == nil && p.at < p.size {
		err = fmt.Errorf("the document has %d of the %d bytes that it was said to have", p.at, p.size)
	}
	if err == nil {
		return nil
	}
	p.cache.mu.Lock()
	if p.cache.all[p.key] == p {
		delete(p.cache.all, p.key) // whoever comes now begins anew
	}
	p.cache.mu.Unlock()
	p.publish(err)
	if !begun {
		close(p.begun)
	}
	return err
}

// publish lets what was put be read.
func (p *spool) publish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil && p.at-p.filled < pieceMost && p.at < p.size && err == nil {
		return
	}
	p.filled, p.err = p.at-int64(len(p.piece)), err
	close(p.grown)
	p.grown = make(chan struct{})
}

// await waits until it is known how long the document is, and of which
// version.
func (p *spool) await(ctx context.Context) error {
	select {
	case <-p.begun:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filled == 0 {
		return p.err
	}
	return nil
}

// awaitBeyond waits until there is something from here on, and says up to where.
func (p *spool) awaitBeyond(ctx context.Context, from int64) (int64, error) {
	for {
		p.mu.Lock()
		filled, grown, err := p.filled, p.grown, p.err
		p.mu.Unlock()
		if filled > from || err != nil {
			return filled, err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// fromFile is how much of a file is read at once.
const fromFile = 32 << 10

var fileBuffers = sync.Pool{New: func() any { b := make([]byte, fromFile); return &b }}

// write writes what is in [from, to), at the pace of w, as it comes.
func (p *spool) write(ctx context.Context, w io.Writer, from, to int64) (n int64, err error) {
	for at := from; at < to; {
		filled, err := p.awaitBeyond(ctx, at)
		if err != nil {
			return n, err
		}
		var wrote int
		if end := min(filled, to); p.file == nil {
			wrote, err = w.Write(p.memory[at:end])
		} else {
			wrote, err = p.copy(w, at, end)
		}
		at, n = at+int64(wrote), n+int64(wrote)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (p *spool) copy(w io.Writer, from, to int64) (int, error) {
	b := fileBuffers.Get().(*[]byte)
	defer fileBuffers.Put(b)
	piece := (*b)[:min(to-from, fromFile)]
	if _, err := p.file.ReadAt(piece, from); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	return w.Write(piece)
}

// addReader adds a reader; of.mu is locked.
func (p *spool) addReader() {
	if p.readers++; p.readers == 1 {
		p.cache.idle = slices.DeleteFunc(p.cache.idle, func(i *spool) bool { return i == p })
	}
}

// removeReader is called by each reader once. With the last one the spool goes, or
// where it is whole soon after. Nothing is let go of while it is being written:
// where it is not whole by then it is given up, and goes when the one who
// writes it has ended.
func (p *spool) removeReader() {
	p.cache.mu.Lock()
	if p.readers--; p.readers > 0 {
		p.cache.mu.Unlock()
		return
	}
	if !p.stays() {
		if p.cache.all[p.key] == p {
			delete(p.cache.all, p.key)
		}
		p.abandoned = true
	}
	p.releaseUnread()
}

// stays tells whether it is worth keeping for who comes next; of.mu is locked.
func (p *spool) stays() bool {
	if !p.known || p.cache.linger == 0 || p.cache.all[p.key] != p {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err == nil && p.filled == p.size
}

// releaseUnread is for a spool that nobody reads: it is given up, or idle, as soon as
// nobody writes it. It unlocks of.mu.
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
		s.budget.redispatch() // who waits may have what it takes
	}
}

// expire lets a spool go that nobody has come to read. One that was read
// meanwhile goes when it is to, or a little before.
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

// reclaim gives back what the one takes that has been idle for longest; not
// where none is. The room is locked, and takes it itself.
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
	delete(s.all, s.idle[i].key)
	s.idle = slices.Delete(s.idle, i, i+1)
}

// wrote is called by the one who writes, at the end.
func (p *spool) wrote() {
	p.cancel()
	p.cache.mu.Lock()
	p.writing = false
	if p.readers > 0 {
		p.cache.mu.Unlock()
		return
	}
	if !p.abandoned && !p.stays() {
		p.abandoned = true
	}
	p.releaseUnread()
}

// close lets go of what it is in, once, and says how much that was; of.mu is
// locked.
func (p *spool) close() grant {
	if p.file != nil {
		p.file.Close()
	}
	g := p.held
	p.memory, p.held, p.gone = nil, grant{}, true
	return g
}
