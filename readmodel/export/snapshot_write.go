package export

import (
	"errors"

	"github.com/jackc/pgx/v5"
)

// writeAll puts the body, page by page as they come.
func (s *snapshot) writeAll(put func([]byte) error) (err error) {
	rows, err := s.results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	fail := func(e error) {
		if err == nil {
			err = e
		}
	}
	// After an error nothing is put that belongs further on.
	add := func(piece []byte) {
		if err == nil {
			fail(put(piece))
		}
	}
	next := func() bool {
		s.lease.extend()
		more := rows.Next()
		if !more {
			fail(rows.Err())
		}
		return more
	}
	more := next()
	s.sections.compose(add, func(section int) (found bool) {
		for ; more && err == nil; more = next() {
			c := newColumns(rows)
			if c.int(0) != int64(section+1) {
				break
			}
			if found {
				add(comma)
			}
			body := c.bytes(1)
			fail(c.err)
			add(body)
			found = true
		}
		return found
	})
	rows.Close()
	return errors.Join(err, rows.Err())
}

// writeRange puts the bytes [from, to) of the body, page by page as they come, and
// reads no other pages.
func (s *snapshot) writeRange(from, to int64, pages []pageExtent, put func([]byte) error) (err error) {
	if err := s.results.Close(); err != nil {
		return err
	}
	// The first walk finds the pages of the range, the second puts what is in them.
	var first, last *pageExtent
	offset := int64(0)
	s.walk(pages, func(piece []byte) { offset += int64(len(piece)) }, func(p *pageExtent) {
		if offset < to && offset+p.bytes > from {
			if last = p; first == nil {
				first = p
			}
		}
		offset += p.bytes
	})
	var rows pgx.Rows
	if first != nil {
		s.lease.extend()
		if rows, err = s.lease.conn.Query(s.lease.ctx, s.queries.pageRange, uuid(s.account), int16(first.section), first.key, int16(last.section), last.key); err != nil {
			return err
		}
		defer rows.Close()
	}
	clip := func(piece []byte) {
		begin, end := max(from-offset, 0), min(to-offset, int64(len(piece)))
		if offset += int64(len(piece)); begin < end && err == nil {
			err = put(piece[begin:end])
		}
	}
	offset = 0
	s.walk(pages, clip, func(p *pageExtent) {
		if err != nil || offset >= to || offset+p.bytes <= from {
			offset += p.bytes
			return
		}
		s.lease.extend()
		if !rows.Next() {
			if err = rows.Err(); err == nil {
				err = errors.New("a page is not there")
			}
			return
		}
		c := newColumns(rows)
		clip(c.bytes(0))
		err = errors.Join(err, c.err)
	})
	if rows != nil {
		rows.Close()
		err = errors.Join(err, rows.Err())
	}
	return err
}

// walk goes through the body, whose pages are not in memory.
func (s *snapshot) walk(pages []pageExtent, put func(piece []byte), body func(p *pageExtent)) {
	s.sections.compose(put, func(section int) (found bool) {
		for ; len(pages) > 0 && pages[0].section == section+1; pages = pages[1:] {
			if found {
				put(comma)
			}
			body(&pages[0])
			found = true
		}
		return found
	})
}
