package importer

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"accountexport/internal/ingest"
)

// batch is a window's lines, read.
type batch struct {
	items            []ingest.Item
	numbers, offsets []int64
	parked           []bool
	end              place // after the last of them; zero where there is none
	tried            bool  // an earlier run may have published them
	err              error // what comes behind it
}

// readWindows reads windows to the input's end, or to the first line that cannot be
// published, which comes with the window before it.
func (opt Options) readWindows(ctx context.Context, in io.Reader, from progress, maxPayload int, to chan<- batch) {
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
	j := lineChecker{park: opt.Park, maxPayload: maxPayload}
	if from.Window != nil {
		b := batch{tried: true}
		for l.offset < from.Window.End.Bytes && b.err == nil {
			b.add(ctx, l, &j)
		}
		switch {
		case b.err == nil && b.end != from.Window.End, errors.Is(b.err, io.EOF):
			b = batch{err: from.Window.differs()}
		case b.err != nil:
			b = batch{err: b.err} // and nothing of it is published
		}
		if !send(b) {
			return
		}
	}
	for {
		var b batch
		size := 0
		for len(b.items) < opt.Lines && size < opt.Bytes && b.err == nil {
			size += b.add(ctx, l, &j)
		}
		if errors.Is(b.err, io.EOF) {
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
func (b *batch) add(ctx context.Context, l *lineReader, j *lineChecker) (size int) {
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
		b.err = &LineError{number, offset, err, false}
		return 0
	}
	e, bad := j.line(line, number, offset)
	if bad != nil {
		b.err = bad
		return 0
	}
	b.items = append(b.items, ingest.Item{Message: e.message, ID: e.id, Tried: b.tried})
	b.numbers, b.offsets, b.parked = append(b.numbers, number), append(b.offsets, offset), append(b.parked, e.park != nil)
	b.end = l.position()
	return len(line)
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
