package export

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
)

// spool is a document, or a part of one, on its way from the database to its
// readers. One goroutine, the writer, fills it as fast as the database sends it.
type spool struct {
	cache  *spoolCache
	cancel context.CancelFunc // ends the writer; set before it starts

	// Set by the writer before it closes begun, and never changed then.
	begun  chan struct{} // closed once these are known, or that there is no document
	meta   Meta          // its State may have turned out to be another than Complete
	size   int64         // of everything that is going to be in it, in bytes
	plain  int64         // what a gzip body decompresses to, in bytes
	memory []byte        // what it is in: this, or the file
	file   *os.File

	// The writer's own.
	written   int64  // bytes that were put
	piece     []byte // the last of those, which are not in the file yet
	writtenBy string // [snapshot.rowVersion] of what was put

	// Guarded by cache.mu.
	key       version
	readers   int
	sized     bool // begun is closed, without an error
	writing   bool // the writer has not ended
	abandoned bool // it had no readers before it was complete
	closed    bool // its grant was given back
	grant     grant

	mu      sync.Mutex    // guards what follows; never held over I/O
	filled  int64         // bytes that may be read
	changed chan struct{} // closed, and replaced, when filled or err changes
	err     error
}

// start calls fill to write the spool, by a goroutine of its own. A panic there is an
// error for those who read this document, and for no other read.
func (p *spool) start(fill func(ctx context.Context, p *spool)) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.writing = cancel, true
	go func() {
		defer p.writerDone()
		defer func() {
			if thrown := recover(); thrown != nil {
				_ = p.end(fmt.Errorf("panic while the document was written: %v\n%s", thrown, debug.Stack()))
			}
		}()
		fill(ctx, p)
	}()
}

// errAbandoned means that the document has no readers any more.
var errAbandoned = errors.New("nobody reads the document")

// errVersionChanged means that a document that was cut off cannot be gone on with.
var errVersionChanged = errors.New("the document has become another")

// begin says how long the document is and which version it is, and makes room for it
// out of the grant. The grant is the spool's from then on, or given back.
func (p *spool) begin(m Meta, size int64, g grant) error {
	if !p.holdGrant(g) {
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
	p.cache.setVersion(p, m)
	close(p.begun)
	return nil
}

// holdGrant takes the grant over, where the document is still wanted.
func (p *spool) holdGrant(g grant) bool {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	if p.abandoned || p.closed {
		return false
	}
	p.grant = g
	return true
}

// hasBegun tells the writer whether it has begun.
func (p *spool) hasBegun() bool {
	select {
	case <-p.begun:
		return true
	default:
		return false
	}
}

// resume is how to put a document that is read from its beginning once more: what was
// put before is skipped. It has to be what the same transaction wrote.
func (p *spool) resume(writtenBy string, size int64) (put func([]byte) error, err error) {
	if p.writtenBy == "" {
		p.writtenBy = writtenBy
	}
	if writtenBy != p.writtenBy || size != p.size {
		return nil, errVersionChanged
	}
	skip := p.written
	return func(b []byte) error {
		n := min(skip, int64(len(b)))
		if skip, b = skip-n, b[n:]; len(b) == 0 {
			return nil
		}
		return p.put(b)
	}, nil
}

// pieceSize is how much is put before readers can read it, and how much the writer to a
// file has in memory.
const pieceSize = 128 << 10

// put adds to the spool. Readers see what was put a piece at a time.
func (p *spool) put(b []byte) error {
	if p.written+int64(len(b)) > p.size {
		return fmt.Errorf("the document is longer than the %d bytes that it was said to have", p.size)
	}
	if p.file != nil {
		return p.store(b)
	}
	copy(p.memory[p.written:], b)
	p.written += int64(len(b))
	p.publish(nil)
	return nil
}

// store puts b into the file: what is short by way of the piece, what is long, or
// everything that is left, directly.
func (p *spool) store(b []byte) error {
	if len(p.piece)+len(b) > pieceSize {
		if err := p.flush(); err != nil {
			return err
		}
	}
	last := p.written+int64(len(b)) == p.size
	if len(b) > pieceSize || last && len(p.piece) == 0 {
		if _, err := p.file.WriteAt(b, p.written); err != nil {
			return fmt.Errorf("%w: %w", ErrSpool, err)
		}
		p.written += int64(len(b))
		p.publish(nil)
	} else {
		if p.piece == nil {
			p.piece = make([]byte, 0, pieceSize)
		}
		p.piece = append(p.piece, b...)
		p.written += int64(len(b))
	}
	if !last {
		return nil
	}
	err := p.flush()
	p.piece = nil
	return err
}

// flush writes the piece to the file, and publishes it.
func (p *spool) flush() error {
	if len(p.piece) == 0 {
		return nil
	}
	if _, err := p.file.WriteAt(p.piece, p.written-int64(len(p.piece))); err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, err)
	}
	p.piece = p.piece[:0]
	p.publish(nil)
	return nil
}

// publish lets readers read what was put, or tells them of an error.
func (p *spool) publish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil && p.written-p.filled < pieceSize && p.written < p.size && err == nil {
		return
	}
	p.filled, p.err = p.written-int64(len(p.piece)), err
	close(p.changed)
	p.changed = make(chan struct{})
}

// end says that nothing more comes, because of err or because everything is there. It
// returns the error that readers get.
func (p *spool) end(err error) error {
	begun := false
	select {
	case <-p.begun:
		begun = true
	default:
	}
	if err == nil && !begun {
		err = errors.New("the document was not begun")
	} else if err == nil && p.written < p.size {
		err = fmt.Errorf("the document has %d of the %d bytes that it was said to have", p.written, p.size)
	}
	if err == nil {
		return nil
	}
	p.cache.mu.Lock()
	if p.cache.spools[p.key] == p {
		delete(p.cache.spools, p.key) // the next reader begins anew
	}
	p.cache.mu.Unlock()
	p.publish(err)
	if !begun {
		close(p.begun)
	}
	return err
}
