package export

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// Document is one account's export, or a part of it. It holds no database
// connection; what it holds of a spool it gives back when it is closed.
type Document struct {
	Meta
	From, To int64 // the part that is written; all of it where nothing else was chosen
	size     int64
	body     []byte // all of a small one

	ctx   context.Context // of who reads it
	spool *spool          // of the larger ones
	start int64           // where in the document the spool begins
}

// part narrows the document to what was chosen.
func (d *Document) part(choose RangeFunc) *Document {
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

// WriteTo writes the body, exactly as in contract §4, or the part of it that
// was chosen. After an error it is incomplete.
func (d *Document) WriteTo(w io.Writer) (int64, error) {
	if d.State != Complete {
		return 0, fmt.Errorf("account has no document: state %d", d.State)
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

// Close gives back what the document holds.
func (d *Document) Close() {
	if d.spool != nil {
		d.spool.removeReader()
		d.spool = nil
	}
}

// sections are a document's parts but its pages.
type sections struct {
	user, team, tier []byte
	tails            [3][]byte // of quota_usage, api_keys, sandboxes
}

// extent is how much the pages of a section are.
type extent struct{ pages, bytes int64 }

// parts are between them; never changed.
var parts = [...][]byte{[]byte(`{"user":`), []byte(`,"team":`), []byte(`,"quota_tier":`), []byte(`,"quota_usage":[`),
	[]byte(`],"api_keys":[`), []byte(`],"sandboxes":[`), []byte(`]}`)}

// partsLength is how long they are, with a comma before each tail.
var partsLength = func() (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n + 3
}()

// size is the length of the body.
func (s *sections) size(pages [3]extent) (n int64) {
	for _, p := range parts {
		n += int64(len(p))
	}
	n += int64(len(s.user) + len(s.team) + len(s.tier))
	for i, e := range pages {
		n += e.bytes + int64(len(s.tails[i]))
		if e.pages > 0 {
			n += e.pages - 1
			if len(s.tails[i]) > 0 {
				n++
			}
		}
	}
	return n
}

// compose puts the body together, piece by piece. pages puts those of a
// section, with commas between them, and says whether there are any.
func (s *sections) compose(put func(piece []byte), pages func(section int) (some bool)) {
	for i, section := range [...][]byte{s.user, s.team, s.tier} {
		put(parts[i])
		put(section)
	}
	for i, tail := range s.tails {
		put(parts[3+i])
		if pages(i) && len(tail) > 0 {
			put(comma)
		}
		put(tail)
	}
	put(parts[6])
}

var comma = []byte{','}

// assemble is the whole body, of pages that are there, so many in each section.
func (s *sections) assemble(pages [][]byte, counts [3]int) []byte {
	var extents [3]extent
	rest := pages
	for i, n := range counts {
		extents[i].pages = int64(n)
		for _, p := range rest[:n] {
			extents[i].bytes += int64(len(p))
		}
		rest = rest[n:]
	}
	body := make([]byte, 0, s.size(extents))
	s.compose(func(piece []byte) { body = append(body, piece...) }, func(i int) bool {
		n := counts[i]
		for j, p := range pages[:n] {
			if j > 0 {
				body = append(body, ',')
			}
			body = append(body, p...)
		}
		pages = pages[n:]
		return n > 0
	})
	return body
}

// clone is for what is kept longer than the row that it came in.
func (s *sections) clone() sections {
	c := sections{user: bytes.Clone(s.user), team: bytes.Clone(s.team), tier: bytes.Clone(s.tier)}
	for i, t := range s.tails {
		c.tails[i] = bytes.Clone(t)
	}
	return c
}
