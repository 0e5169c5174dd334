package export

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/jackc/pgx/v5"
)

// SegmentHolds is the condition, in SQL, for a segment s of the account $1 to be a copy of
// what its pages are now: they are as many as it was made of, each as written by the
// transaction that had written it then. Numbers of transactions have 32 bits there, and
// come again, so a segment does not hold for longer than half of them last; then two
// that are equal are the same, but for a page that was at rest for as long before. Nor does one hold
// that was copied to another server as rows, where the pages have other numbers, since
// then its own is not that which it was made by. Freezing leaves the numbers as they are.
const SegmentHolds = `s.xmin = s.made::xid
    AND s.made > (SELECT greatest(pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 2147483648, 0)::text::xid8)
    AND s.written_by = ARRAY(SELECT p.xmin FROM {schema}.account_export_pages p
        WHERE p.account_id = $1 AND p.section = s.section AND p.page_key >= s.first_key AND p.page_key <= s.last_key ORDER BY p.page_key)`

// segment is a stored run of compressed pages, but for its bytes.
type segment struct {
	section            int
	first, last        string // keys of its first page and its last
	pages              int64
	plain, crc, stored int64
}

// readSegments are the account's segments, in order.
func (s *snapshot) readSegments() (all []segment, err error) {
	rows, err := s.results.Query()
	if err != nil {
		return nil, err
	}
	var g segment
	_, err = pgx.ForEachRow(rows, []any{&g.section, &g.first, &g.last, &g.pages, &g.plain, &g.crc, &g.stored}, func() error {
		s.lease.extend()
		all = append(all, g)
		return nil
	})
	return all, err
}

// errNotStored means that too little of a document is stored compressed.
var errNotStored = errors.New("the document is not stored compressed")

// What of a document is compressed as it is read, at most: it is held in memory, beside
// the room for the document, as it is, joined, and compressed. Usual pages have 4 kB, and
// those of large items as much as one message.
const (
	maxLoosePages = 256
	maxLooseBytes = 2 << 20
)

// loosePage is a page that no segment has.
type loosePage struct {
	section int
	key     string
	body    []byte
}

// gzipPlan is what a document's gzip body is put together of.
type gzipPlan struct {
	sections    []int16  // of the segments
	firsts      []string // and their first keys
	pieces      []deflatedPiece
	size, plain int64  // of the body, and of what it decompresses to
	fingerprint uint32 // of which segments there are
}

// plan says how to put the document together, where most of it is stored compressed, and
// otherwise that it is not. It counts the pages, so that a page can neither be left out
// nor be there twice, and nothing of a row is served with pages of another.
func (s *snapshot) plan(segments []segment) (*gzipPlan, error) {
	missing := s.counts
	for i := range segments {
		missing[segments[i].section-1] -= int(segments[i].pages)
	}
	all, loose := 0, 0
	for i, n := range missing {
		if n < 0 {
			return nil, errNotStored
		}
		all, loose = all+s.counts[i], loose+n
	}
	if loose > maxLoosePages || 2*loose > all {
		return nil, errNotStored
	}
	var pages []loosePage
	if loose > 0 {
		var err error
		if pages, err = s.readLoosePages(segments, missing, loose); err != nil {
			return nil, err
		}
	}
	p, pending := &gzipPlan{size: gzipOverhead}, []byte(nil)
	for i := range segments {
		p.sections, p.firsts = append(p.sections, int16(segments[i].section)), append(p.firsts, segments[i].first)
	}
	flush := func() {
		if len(pending) > 0 {
			p.add(deflatePiece(pending))
			pending = pending[:0]
		}
	}
	put := func(piece []byte) { pending = append(pending, piece...) }
	s.sections.compose(put, func(section int) (found bool) {
		for {
			page := len(pages) > 0 && pages[0].section == section+1
			run := len(segments) > 0 && segments[0].section == section+1
			if (page || run) && found {
				put(comma)
			}
			switch {
			case run && (!page || segments[0].first < pages[0].key):
				g := segments[0]
				segments = segments[1:]
				flush()
				p.add(deflatedPiece{stored: g.stored, plain: g.plain, crc: uint32(g.crc)})
				p.fingerprint = crc32.Update(p.fingerprint, crc32.IEEETable, fmt.Append(nil, g.section, g.first, g.stored, g.crc))
			case page:
				put(pages[0].body)
				pages = pages[1:]
			default:
				return found
			}
			found = true
		}
	})
	flush()
	return p, nil
}

func (p *gzipPlan) add(piece deflatedPiece) {
	p.pieces = append(p.pieces, piece)
	p.size, p.plain = p.size+int64(len(piece.body))+piece.stored, p.plain+piece.plain
}

// readLoosePages are the pages between the segments, in order, of the sections of which
// pages are missing. Where they are not as many as are missing, the document cannot be
// put together.
func (s *snapshot) readLoosePages(segments []segment, missing [3]int, count int) (pages []loosePage, err error) {
	var sections []int16
	var lows, highs []string // from the first on, and below the second
	for i, n := range missing {
		if n == 0 {
			continue
		}
		low := ""
		gap := func(high string) {
			sections, lows, highs = append(sections, int16(i+1)), append(lows, low), append(highs, high)
		}
		for j := range segments {
			if g := &segments[j]; g.section == i+1 {
				gap(g.first)
				low = g.last + "\x01" // no text that the database stores is between them
			}
		}
		gap("\U0010FFFF") // above every key: none begins with it
	}
	s.lease.extend()
	rows, err := s.lease.conn.Query(s.lease.ctx, s.queries.loosePages, uuid(s.account), sections, lows, highs, count+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	room := maxLooseBytes
	for rows.Next() {
		s.lease.extend()
		c := newColumns(rows)
		body := c.bytes(2)
		if room -= len(body); room < 0 {
			return nil, errNotStored
		}
		p := loosePage{section: int(c.int(0)), key: string(c.values[1]), body: bytes.Clone(body)}
		if c.err != nil {
			return nil, c.err
		}
		missing[p.section-1]--
		pages = append(pages, p)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if missing != [3]int{} {
		return nil, errNotStored
	}
	return pages, nil
}

// writeGzip puts the body, segment by segment as they come.
func (s *snapshot) writeGzip(p *gzipPlan, put func([]byte) error) error {
	s.lease.extend()
	rows, err := s.lease.conn.Query(s.lease.ctx, s.queries.segmentBodies, uuid(s.account), p.sections, p.firsts)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := put(gzipHeader); err != nil {
		return err
	}
	for _, piece := range p.pieces {
		body := piece.body
		if body == nil {
			s.lease.extend()
			if !rows.Next() {
				return errors.Join(rows.Err(), errors.New("a segment is not there"))
			}
			c := newColumns(rows)
			if body = c.bytes(0); c.err != nil {
				return c.err
			}
		}
		if err := put(body); err != nil {
			return err
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	return put(gzipTrailer(p.pieces))
}
