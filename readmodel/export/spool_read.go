package export

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// await waits until it is known how long the document is, and which version it is.
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

// write writes the bytes [from, to) to w, at the pace of w, as they come.
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

// awaitBeyond waits until there is something beyond from, and says up to where.
func (p *spool) awaitBeyond(ctx context.Context, from int64) (int64, error) {
	for {
		p.mu.Lock()
		filled, grown, err := p.filled, p.changed, p.err
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

func (p *spool) copy(w io.Writer, from, to int64) (int, error) {
	b := fileBuffers.Get().(*[]byte)
	defer fileBuffers.Put(b)
	piece := (*b)[:min(to-from, fileReadSize)]
	if _, err := p.file.ReadAt(piece, from); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	return w.Write(piece)
}

// fileReadSize is how much of a file is read at once.
const fileReadSize = 32 << 10

var fileBuffers = sync.Pool{New: func() any { b := make([]byte, fileReadSize); return &b }}
