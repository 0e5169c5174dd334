package export

import (
	"bytes"
	"sync"
)

// sections are a document's parts but its pages.
type sections struct {
	user, team, tier []byte
	tails            [3][]byte // of quota_usage, api_keys, sandboxes
}

// sectionExtent is how much the pages of a section are.
type sectionExtent struct{ pages, bytes int64 }

// framing is what stands between the parts; never changed.
var framing = [...][]byte{[]byte(`{"user":`), []byte(`,"team":`), []byte(`,"quota_tier":`), []byte(`,"quota_usage":[`),
	[]byte(`],"api_keys":[`), []byte(`],"sandboxes":[`), []byte(`]}`)}

// framingLength is how many bytes that is, with a comma before each tail.
var framingLength = func() (n int) {
	for _, p := range framing {
		n += len(p)
	}
	return n + 3
}()

var comma = []byte{','}

// size is the length of the body in bytes.
func (s *sections) size(pages [3]sectionExtent) (n int64) {
	for _, p := range framing {
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

// compose puts the body together, piece by piece. pages puts the pages of a
// section, with commas between them, and says whether there are any.
func (s *sections) compose(put func(piece []byte), pages func(section int) (found bool)) {
	for i, section := range [...][]byte{s.user, s.team, s.tier} {
		put(framing[i])
		put(section)
	}
	for i, tail := range s.tails {
		put(framing[3+i])
		if pages(i) && len(tail) > 0 {
			put(comma)
		}
		put(tail)
	}
	put(framing[6])
}

// assemble is the whole body, of pages in order, counts of them in each section.
func (s *sections) assemble(pages [][]byte, counts [3]int) []byte {
	var extents [3]sectionExtent
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

// clone is for sections that are kept longer than the row that they came in.
func (s *sections) clone() sections {
	c := sections{user: bytes.Clone(s.user), team: bytes.Clone(s.team), tier: bytes.Clone(s.tier)}
	for i, t := range s.tails {
		c.tails[i] = bytes.Clone(t)
	}
	return c
}

// copyInto copies the sections behind what is in the buffer, or into another buffer
// where that is full.
func (s *sections) copyInto(in *[]byte) (c sections) {
	all := [...][]byte{s.user, s.team, s.tier, s.tails[0], s.tails[1], s.tails[2]}
	n := 0
	for _, section := range all {
		n += len(section)
	}
	b := *in
	if len(b)+n > cap(b) {
		b = make([]byte, 0, max(n, cap(b)))
	}
	for i, section := range all {
		at := len(b)
		b = append(b, section...)
		all[i] = b[at:len(b):len(b)]
	}
	*in = b
	return sections{user: all[0], team: all[1], tier: all[2], tails: [3][]byte{all[3], all[4], all[5]}}
}

// sectionBuffers are for sections that are kept until their pages have come.
var sectionBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// putSectionBuffer returns a buffer, unless it has grown.
func putSectionBuffer(b *[]byte) {
	if *b = (*b)[:0]; cap(*b) <= 64<<10 {
		sectionBuffers.Put(b)
	}
}
