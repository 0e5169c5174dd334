package export

import (
	"context"
	"fmt"
	"io"
)

// Document is one account's export, or a part of it. It holds no database
// connection, whatever its size; what it holds of a spool it gives back when it is
// closed. It is for one goroutine.
type Document struct {
	Meta
	From, To int64 // the part that is written, in bytes; all of it where nothing else was chosen

	size int64  // of plain JSON
	gzip int64  // of the gzip body that is written instead; 0 where none is
	body []byte // of a document that has no spool

	spool *spool          // of a larger one; nil once it is closed
	start int64           // where in the document the spool begins
	ctx   context.Context // of the reader: it ends waiting for the spool to be filled
}

// choose narrows the document to the part that is wanted.
func (d *Document) choose(choose RangeFunc) *Document {
	if d.To = d.size; choose != nil {
		d.From, d.To = choose(&d.Meta, d.size)
	}
	return d
}

// Size is the exact length of the whole body in bytes; -1 where there is none.
func (d *Document) Size() int64 {
	if d.State != Complete {
		return -1
	}
	return d.size
}

// Gzip is the length of the gzip body that [Document.WriteTo] writes, in bytes, where it
// writes one instead of plain JSON.
func (d *Document) Gzip() (length int64, ok bool) { return d.gzip, d.gzip > 0 }

// WriteTo writes the body, exactly as in contract §4, or the part of it that
// was chosen. After an error what was written is incomplete.
func (d *Document) WriteTo(w io.Writer) (int64, error) {
	if d.State != Complete {
		return 0, fmt.Errorf("account has no document: state %d", d.State)
	}
	if d.gzip > 0 {
		return d.spool.write(d.ctx, w, 0, d.gzip)
	}
	if d.From == d.To {
		return 0, nil
	}
	if d.spool == nil {
		n, err := w.Write(d.body[d.From:d.To])
		return int64(n), err
	}
	return d.spool.write(d.ctx, w, d.From-d.start, d.To-d.start)
}

// Close gives back what the document holds. It may be called more than once.
func (d *Document) Close() {
	if d.spool != nil {
		d.spool.removeReader()
		d.spool = nil
	}
}
