package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"accountexport/internal/ingest"
)

// batch is a window's lines, read.
type batch struct {
	items            []ingest.Item
	numbers, offsets []int64
	parked           []bool
	texts            []digest // of the lines
	start            place    // before the first of them
	ends             []place  // after each
	tried            bool     // an earlier run may have published any of them
	err              error    // what comes behind it
}

// end is the place after the last line; zero where there is none.
func (b batch) end() place {
	if len(b.ends) == 0 {
		return place{}
	}
	return b.ends[len(b.ends)-1]
}

// readWindows reads windows to the input's end, or to the first line that cannot be
// published, which comes with the window before it. An input that was checked is read
// as far as it was then, and has to be the same.
func (opt Options) readWindows(ctx context.Context, in io.Reader, from progress, most limits, checked *place, to chan<- batch) {
	send := func(b batch) bool {
		select {
		case to <- b:
			return b.err == nil
		case <-ctx.Done():
			return false
		}
	}
	l, err := newLineReader(opt.counted(in))
	if err == nil {
		err = l.skip(ctx, from.Done)
	}
	if err != nil {
		send(batch{err: err})
		return
	}
	if checked != nil {
		l.end = checked.Bytes
	}
	c := lineChecker{park: opt.Park, limits: most, ahead: from.Ahead}
	if from.Window != nil {
		b := batch{tried: true, start: l.position()}
		c.begun = true
		for l.offset < from.Window.End.Bytes && b.err == nil {
			b.add(ctx, l, &c)
		}
		c.begun = false
		switch {
		case b.err == nil && b.end() != from.Window.End, errors.Is(b.err, io.EOF):
			b = batch{err: from.Window.differs()}
		case b.err != nil:
			b = batch{err: b.err} // and nothing of it is published
		}
		if !send(b) {
			return
		}
	}
	for {
		b := batch{start: l.position()}
		size := 0
		for len(b.items) < opt.Lines && size < opt.Bytes && b.err == nil {
			size += b.add(ctx, l, &c)
		}
		if errors.Is(b.err, io.EOF) {
			if checked != nil && l.position() != *checked {
				send(batch{err: changed(l.position(), *checked)})
				return
			}
			if b.err = nil; len(b.items) > 0 {
				send(b)
			}
			return
		}
		if !send(b) {
			return
		}
	}
}

// add reads another line, and tells how large it is.
func (b *batch) add(ctx context.Context, l *lineReader, c *lineChecker) (size int) {
	if ctx.Err() != nil {
		b.err = ctx.Err()
		return 0
	}
	line, number, offset, err := l.next()
	if errors.Is(err, io.EOF) {
		b.err = err
		return 0
	}
	if err != nil {
		b.err = unreadable(number, offset, err)
		return 0
	}
	e, bad := c.line(line, number, offset)
	if bad != nil {
		b.err = bad
		return 0
	}
	published, _ := c.ahead.has(e.id, line)
	b.items = append(b.items, ingest.Item{Message: e.message, ID: e.id, Tried: b.tried || published})
	b.numbers, b.offsets, b.parked = append(b.numbers, number), append(b.offsets, offset), append(b.parked, e.park != nil)
	b.texts, b.ends = append(b.texts, digestOf(line)), append(b.ends, l.position())
	return len(line)
}

// changed is the error of an input that is another one now than when it was checked.
func changed(now, checked place) error {
	return fmt.Errorf("the input has changed while it was read: found %d bytes with the SHA-256 %.12s…, and %d with %.12s… when it was checked before; "+
		"want an input that nobody writes to meanwhile", now.Bytes, now.SHA256, checked.Bytes, checked.SHA256)
}

// counted counts the bytes that are read.
func (opt Options) counted(in io.Reader) io.Reader { return countingReader{in, opt.read} }

type countingReader struct {
	in io.Reader
	n  *atomic.Int64
}

func (c countingReader) Read(p []byte) (n int, err error) {
	n, err = c.in.Read(p)
	c.n.Add(int64(n))
	return n, err
}
