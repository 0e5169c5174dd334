package export

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
)

// snapshot is a document that is being read in one transaction.
type snapshot struct {
	lease    *lease
	queries  *queries
	account  events.UUID
	meta     Meta
	pages    int
	sections sections
	results  pgx.BatchResults
}

// inSnapshot has read read a document, its row and what else ask asks for. All
// of it goes to the database at once. The planner may take a statement to be
// worth compiling where an account has very many pages, which takes longer than
// to run it.
func (x *Reader) inSnapshot(ctx context.Context, account events.UUID, ask func(b *pgx.Batch, q *queries), read func(s *snapshot) error) error {
	l, err := x.acquire(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	var failed error // of read, which is not to be called again
	err = x.withLive(l.ctx, l.conn, func(q *queries) (bool, error) {
		times, err := q.asOf.times(l.ctx, l.conn, q.generation)
		if err != nil {
			return false, err
		}
		b := &pgx.Batch{}
		b.Queue(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
		b.Queue(`SET LOCAL jit = off`)
		b.Queue(`SET LOCAL statement_timeout = 0`) // each row has a limit of its own
		b.Queue(q.small, uuid(account), q.generation)
		ask(b, q)
		s := &snapshot{lease: l, queries: q, account: account, results: l.conn.SendBatch(l.ctx, b)}
		live, err := s.row(times)
		if live && err == nil {
			if failed = read(s); failed != nil {
				l.cancel() // what is left need not be sent
				return true, nil
			}
		}
		err = errors.Join(err, s.results.Close())
		_, ended := l.conn.Exec(l.ctx, `COMMIT`)
		return live, errors.Join(err, ended)
	})
	if err := errors.Join(failed, err); err != nil {
		if more := (errLargerGrant{}); errors.As(err, &more) {
			return more
		}
		return l.failed(err)
	}
	return nil
}

func (s *snapshot) row(times *asOfTimes) (live bool, err error) {
	for range 3 { // BEGIN, SET, SET
		if _, err := s.results.Exec(); err != nil {
			return false, err
		}
	}
	rows, err := s.results.Query()
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		c := columnsOf(rows)
		w := c.row(times)
		live, s.meta, s.pages = w.live, w.meta(s.queries), w.sum()
		s.sections, _ = c.sections(rowWidth)
		s.sections = s.sections.clone()
		err = c.err
	}
	return live, errors.Join(err, rows.Err())
}

// written is by what the row was written, in which generation. Who has the same
// has the same bytes: pages are written with their row. The entity tag alone does
// not say so much: a row that is mended keeps it.
func (s *snapshot) written() (by string, err error) {
	rows, err := s.results.Query()
	if err != nil {
		return "", err
	}
	if by, err = pgx.CollectOneRow(rows, pgx.RowTo[string]); errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return fmt.Sprint(s.queries.generation, "/", by, "/", s.meta.ETag()), err
}

// sums is how much each section's pages are.
func (s *snapshot) sums() (extents [3]extent, err error) {
	rows, err := s.results.Query()
	if err != nil {
		return extents, err
	}
	var section int
	var e extent
	_, err = pgx.ForEachRow(rows, []any{&section, &e.pages, &e.bytes}, func() error {
		extents[section-1] = e
		return nil
	})
	return extents, err
}

// page is where one is found, and how long it is.
type page struct {
	section int
	key     string
	bytes   int64
}

// extents are all pages, in order, and how much each section's are.
func (s *snapshot) extents() (all []page, extents [3]extent, err error) {
	rows, err := s.results.Query()
	if err != nil {
		return nil, extents, err
	}
	var p page
	_, err = pgx.ForEachRow(rows, []any{&p.section, &p.key, &p.bytes}, func() error {
		s.lease.limit()
		all = append(all, p)
		e := &extents[p.section-1]
		e.pages, e.bytes = e.pages+1, e.bytes+p.bytes
		return nil
	})
	return all, extents, err
}

// write puts the body, page by page as they come.
func (s *snapshot) write(put func([]byte) error) (err error) {
	rows, err := s.results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	// What ends too early is not gone on with: nothing is put that belongs further
	// on.
	add := func(piece []byte) {
		if err == nil {
			keep(put(piece))
		}
	}
	next := func() bool {
		s.lease.limit()
		more := rows.Next()
		if !more {
			keep(rows.Err())
		}
		return more
	}
	had := next()
	s.sections.compose(add, func(section int) (some bool) {
		for ; had && err == nil; had = next() {
			c := columnsOf(rows)
			if c.int(0) != int64(section+1) {
				break
			}
			if some {
				add(comma)
			}
			body := c.bytes(1)
			keep(c.err)
			add(body)
			some = true
		}
		return some
	})
	rows.Close()
	return errors.Join(err, rows.Err())
}

// writeSome puts what is in [from, to) of the body, page by page as they come,
// and reads no other pages.
func (s *snapshot) writeSome(from, to int64, pages []page, put func([]byte) error) (err error) {
	if err := s.results.Close(); err != nil {
		return err
	}
	// First to see which they are, and then with what is in them.
	var first, last *page
	at := int64(0)
	s.walk(pages, func(piece []byte) { at += int64(len(piece)) }, func(p *page) {
		if at < to && at+p.bytes > from {
			if last = p; first == nil {
				first = p
			}
		}
		at += p.bytes
	})
	var rows pgx.Rows
	if first != nil {
		s.lease.limit()
		if rows, err = s.lease.conn.Query(s.lease.ctx, s.queries.some, uuid(s.account), int16(first.section), first.key, int16(last.section), last.key); err != nil {
			return err
		}
		defer rows.Close()
	}
	clip := func(piece []byte) {
		begin, end := max(from-at, 0), min(to-at, int64(len(piece)))
		if at += int64(len(piece)); begin < end && err == nil {
			err = put(piece[begin:end])
		}
	}
	at = 0
	s.walk(pages, clip, func(p *page) {
		if err != nil || at >= to || at+p.bytes <= from {
			at += p.bytes
			return
		}
		s.lease.limit()
		if !rows.Next() {
			if err = rows.Err(); err == nil {
				err = errors.New("a page is not there")
			}
			return
		}
		c := columnsOf(rows)
		clip(c.bytes(0))
		err = errors.Join(err, c.err)
	})
	if rows != nil {
		rows.Close()
		err = errors.Join(err, rows.Err())
	}
	return err
}

// walk goes through the body, of which the pages are somewhere else.
func (s *snapshot) walk(pages []page, put func(piece []byte), body func(p *page)) {
	s.sections.compose(put, func(section int) (some bool) {
		for ; len(pages) > 0 && pages[0].section == section+1; pages = pages[1:] {
			if some {
				put(comma)
			}
			body(&pages[0])
			some = true
		}
		return some
	})
}
