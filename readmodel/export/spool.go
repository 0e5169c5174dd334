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

// spools are the documents that are being sent, each version once, however
// many read it, and as long as somebody does. One that is whole stays a little
// longer where its room is not needed: who asks for a large document often asks
// for some of it next.
type spools struct {
	dir    string
	room   *room
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

func newSpools(l Limits, linger time.Duration) *spools {
	s := &spools{dir: l.Dir, room: newRoom(l.Memory, l.Files), linger: linger, all: map[version]*spool{}}
	s.room.whole = max(l.Memory, l.Files) / 2 // versions of one document may follow each other faster than they are read
	s.room.reclaim = s.reclaim
	return s
}

// spool is a document, or a part of one, on its way from the database to those
// who read it. One writes it, as fast as the database gives it.
type spool struct {
	of     *spools
	begun  chan struct{}      // closed once what follows is known, or that there is none
	meta   Meta               // its State may have come to be another than Complete
	size   int64              // of all that is going to be in it
	cancel context.CancelFunc // ends the writing

	key     version // guarded by of.mu, as are these
	readers int
	known   bool // begun is closed, without an error
	writing bool // somebody may still write it
	givenUp bool // nobody reads what is not whole yet
	gone    bool // what it took was given back
	held    grant

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
func (s *spools) join(key version, fill func(ctx context.Context, p *spool)) (p *spool, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.all[key]; p != nil {
		p.enter()
		return p, false
	}
	p = s.alone(key)
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

// alone is a spool that is not shared.
func (s *spools) alone(key version) *spool {
	return &spool{of: s, key: key, readers: 1, begun: make(chan struct{}), grown: make(chan struct{}), cancel: func() {}}
}

// ErrSpool means that files of documents cannot be made, written or read.
var ErrSpool = errors.New("spool")

// errNoRoom means that there is none at once.
var errNoRoom = errors.New("no room for the document")

// adopt is the spool of a document that was read already. It takes what is in
// room, or where that is empty what is free at once, which may not suffice.
func (s *spools) adopt(account events.UUID, f found, room grant) (*spool, error) {
	key := version{account, f.meta.ETag()}
	s.mu.Lock()
	if p := s.all[key]; p != nil {
		p.enter()
		s.mu.Unlock()
		s.room.give(room)
		return p, nil
	}
	s.mu.Unlock()
	size := int64(len(f.body))
	if ok := room != (grant{}); ok && !s.room.resize(&room, size) {
		s.room.give(room)
		return nil, errNoRoom
	} else if !ok {
		if room, ok = s.room.try(size); !ok {
			return nil, errNoRoom
		}
	}
	p := s.alone(key)
	if room.files == 0 {
		p.memory = f.body
	}
	if err := p.begin(f.meta, size, room); err != nil {
		p.leave()
		return nil, err
	}
	if p.file == nil {
		p.at = size
		p.show(nil)
	} else if err := p.end(p.put(f.body)); err != nil { // straight to the file
		p.leave()
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
func (s *spools) has(key version) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[key] != nil
}

// begin says how long the document is, and of which version, and makes room
// for it out of what was taken. It gives that back, at the latest when the
// spool goes.
func (p *spool) begin(m Meta, size int64, g grant) error {
	if !p.hold(g) {
		p.of.room.give(g)
		return errGivenUp
	}
	p.meta, p.size = m, size
	switch {
	case p.memory != nil:
	case g.files == 0:
		p.memory = make([]byte, size)
	default:
		f, err := createSpool(p.of.dir, size)
		if err != nil {
			return err
		}
		p.file = f
	}
	p.of.know(p, m)
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

// errAnother means that a document that was cut off cannot be gone on with.
var errAnother = errors.New("the document has become another")

// goOn puts what is not there yet of a document that is read from its beginning
// once more. It has to be what was written by the same.
func (p *spool) goOn(by string, size int64) (put func([]byte) error, err error) {
	if p.by == "" {
		p.by = by
	}
	if by != p.by || size != p.size {
		return nil, errAnother
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

// errGivenUp means that nobody reads the document any more.
var errGivenUp = errors.New("nobody reads the document")

// hold notes what was taken for it, where it is wanted.
func (p *spool) hold(g grant) bool {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if p.givenUp || p.gone {
		return false
	}
	p.held = g
	return true
}

// know notes which version it has come to be.
func (s *spools) know(p *spool, m Meta) {
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
	p.show(nil)
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
		p.show(nil)
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
	p.show(nil)
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
	p.of.mu.Lock()
	if p.of.all[p.key] == p {
		delete(p.of.all, p.key) // whoever comes now begins anew
	}
	p.of.mu.Unlock()
	p.show(err)
	if !begun {
		close(p.begun)
	}
	return err
}

// show lets what was put be read.
func (p *spool) show(err error) {
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

// upTo waits until there is something from here on, and says up to where.
func (p *spool) upTo(ctx context.Context, from int64) (int64, error) {
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
		filled, err := p.upTo(ctx, at)
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

// enter adds a reader; of.mu is locked.
func (p *spool) enter() {
	if p.readers++; p.readers == 1 {
		p.of.idle = slices.DeleteFunc(p.of.idle, func(i *spool) bool { return i == p })
	}
}

// leave is called by each reader once. With the last one the spool goes, or
// where it is whole soon after. Nothing is let go of while it is being written:
// where it is not whole by then it is given up, and goes when the one who
// writes it has ended.
func (p *spool) leave() {
	p.of.mu.Lock()
	if p.readers--; p.readers > 0 {
		p.of.mu.Unlock()
		return
	}
	if !p.stays() {
		if p.of.all[p.key] == p {
			delete(p.of.all, p.key)
		}
		p.givenUp = true
	}
	p.rest()
}

// stays tells whether it is worth keeping for who comes next; of.mu is locked.
func (p *spool) stays() bool {
	if !p.known || p.of.linger == 0 || p.of.all[p.key] != p {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err == nil && p.filled == p.size
}

// rest is for a spool that nobody reads: it is given up, or idle, as soon as
// nobody writes it. It unlocks of.mu.
func (p *spool) rest() {
	s := p.of
	switch {
	case p.writing && p.givenUp:
		s.mu.Unlock()
		p.cancel()
	case p.writing:
		s.mu.Unlock()
	case p.givenUp:
		g := p.close()
		s.mu.Unlock()
		s.room.give(g)
	default:
		s.idle = append(s.idle, p)
		s.mu.Unlock()
		time.AfterFunc(s.linger, func() { s.expire(p) })
		s.room.again() // who waits may have what it takes
	}
}

// expire lets a spool go that nobody has come to read. One that was read
// meanwhile goes when it is to, or a little before.
func (s *spools) expire(p *spool) {
	s.mu.Lock()
	i := slices.Index(s.idle, p)
	if i < 0 {
		s.mu.Unlock()
		return
	}
	s.forget(i)
	g := p.close()
	s.mu.Unlock()
	s.room.give(g)
}

// reclaim gives back what the one takes that has been idle for longest; not
// where none is. The room is locked, and takes it itself.
func (s *spools) reclaim() (grant, bool) {
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
func (s *spools) forget(i int) {
	delete(s.all, s.idle[i].key)
	s.idle = slices.Delete(s.idle, i, i+1)
}

// wrote is called by the one who writes, at the end.
func (p *spool) wrote() {
	p.cancel()
	p.of.mu.Lock()
	p.writing = false
	if p.readers > 0 {
		p.of.mu.Unlock()
		return
	}
	if !p.givenUp && !p.stays() {
		p.givenUp = true
	}
	p.rest()
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
