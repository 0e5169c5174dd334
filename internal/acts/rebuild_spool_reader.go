package acts

import (
	"context"
	"sync"

	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// spoolReader is a pass's reader: first of what was kept for it, then of the stream.
type spoolReader struct {
	spool  *spool
	after  uint64              // nothing up to here is handed out
	kept   engine.Reader       // what was kept; nil once it is read
	marker projections.Message // the last message of the stretch that was kept
	at     uint64              // where the stream is read on
	last   uint64              // the last position handed out
	buf    []projections.Message

	mu     sync.Mutex // Close comes from any goroutine
	stream engine.Reader
	closed bool
}

// openStream opens the stream where reading goes on.
func (r *spoolReader) openStream(ctx context.Context) error {
	in, err := r.spool.Source.Open(ctx, r.at)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		in.Close()
		return stream.ErrReaderClosed
	}
	r.stream = in
	// What lies between was not read: later passes have to read it themselves.
	if r.at > r.spool.covered {
		r.spool.full = true
	}
	return nil
}

// Next implements [engine.Reader]. Beside the pass's own messages it hands out the last
// one of each read, which tells how far reading has come.
func (r *spoolReader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	start := len(buf)
	for len(buf) == start {
		if r.kept != nil {
			var err error
			if buf, err = r.kept.Next(ctx, buf, bound); err != nil {
				return buf, err
			}
			if len(buf) > start {
				buf = r.dropRead(buf, start)
				continue
			}
			r.kept = nil
			r.spool.drop(r.spool.pass)
			if r.marker.Position > max(r.after, r.last) {
				buf = append(buf, r.marker)
				continue
			}
		}
		if r.stream == nil {
			if err := r.openStream(ctx); err != nil {
				return buf, err
			}
		}
		var err error
		if r.buf, err = r.stream.Next(ctx, r.buf[:0], bound); err != nil {
			return buf, err
		}
		r.spool.read += uint64(len(r.buf))
		for i := range r.buf {
			m := &r.buf[i]
			if own := r.spool.keep(m); m.Position > r.after && (own || i == len(r.buf)-1) {
				buf = append(buf, *m)
			}
		}
		clear(r.buf) // whoever has the messages decides how long they stay in memory
	}
	r.last = buf[len(buf)-1].Position
	return buf, nil
}

// dropRead removes the messages from start on that had been read before.
func (r *spoolReader) dropRead(buf []projections.Message, start int) []projections.Message {
	i := start
	for i < len(buf) && buf[i].Position <= r.after {
		i++
	}
	return append(buf[:start], buf[i:]...)
}

// Close implements [engine.Reader].
func (r *spoolReader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed = true; r.stream != nil {
		r.stream.Close()
	}
}
