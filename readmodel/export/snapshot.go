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
	counts   [3]int // pages of each section
	sections sections
	results  pgx.BatchResults
}

// inSnapshot has read read a document's row and whatever queue asks for beside it. All
// of it is sent to the database at once. Compiling (jit) is switched off, since the
// planner may take a statement to be worth it where an account has very many pages,
// and compiling takes longer than running it.
func (x *Reader) inSnapshot(ctx context.Context, account events.UUID, queue func(b *pgx.Batch, q *queries), read func(s *snapshot) error) error {
	l, err := x.acquireLease(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	var readErr error // read is not to be called again after it
	err = x.withLive(l.ctx, l.conn, func(q *queries) (bool, error) {
		times, err := q.asOf.times(l.ctx, l.conn, q.generation)
		if err != nil {
			return false, err
		}
		b := &pgx.Batch{}
		b.Queue(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
		b.Queue(`SET LOCAL jit = off`)
		b.Queue(`SET LOCAL statement_timeout = 0`) // the lease limits each answer instead
		b.Queue(q.flat, uuid(account), q.generation)
		queue(b, q)
		s := &snapshot{lease: l, queries: q, account: account, results: l.conn.SendBatch(l.ctx, b)}
		live, err := s.readRow(times)
		if live && err == nil {
			if readErr = read(s); readErr != nil {
				l.cancel() // the rest need not be sent
				return true, nil
			}
		}
		err = errors.Join(err, s.results.Close())
		_, commitErr := l.conn.Exec(l.ctx, `COMMIT`)
		return live, errors.Join(err, commitErr)
	})
	if err := errors.Join(readErr, err); err != nil {
		if larger := (largerGrantError{}); errors.As(err, &larger) {
			return larger
		}
		return l.wrapError(err)
	}
	return nil
}

func (s *snapshot) readRow(times *asOfTimes) (live bool, err error) {
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
		c := newColumns(rows)
		w := c.row(times)
		live, s.meta, s.pages, s.counts = w.live, w.meta(s.queries), w.pageCount(), w.pages
		s.sections, _ = c.sections(rowWidth)
		s.sections = s.sections.clone()
		err = c.err
	}
	return live, errors.Join(err, rows.Err())
}

// rowVersion is which transaction wrote the row, in which generation. Where it is the
// same, so are the bytes: pages are written with their row. The entity tag alone
// does not say as much, since a row that is refolded keeps it.
func (s *snapshot) rowVersion() (xmin string, err error) {
	rows, err := s.results.Query()
	if err != nil {
		return "", err
	}
	if xmin, err = pgx.CollectOneRow(rows, pgx.RowTo[string]); errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return fmt.Sprint(s.queries.generation, "/", xmin, "/", s.meta.ETag()), err
}

// sectionSums is how much each section's pages are.
func (s *snapshot) sectionSums() (extents [3]sectionExtent, err error) {
	rows, err := s.results.Query()
	if err != nil {
		return extents, err
	}
	var section int
	var e sectionExtent
	_, err = pgx.ForEachRow(rows, []any{&section, &e.pages, &e.bytes}, func() error {
		extents[section-1] = e
		return nil
	})
	return extents, err
}

// pageExtent is where a page is found, and how many bytes it has.
type pageExtent struct {
	section int
	key     string
	bytes   int64
}

// pageExtents are all pages, in order, and how much each section's are.
func (s *snapshot) pageExtents() (all []pageExtent, pageExtents [3]sectionExtent, err error) {
	rows, err := s.results.Query()
	if err != nil {
		return nil, pageExtents, err
	}
	var p pageExtent
	_, err = pgx.ForEachRow(rows, []any{&p.section, &p.key, &p.bytes}, func() error {
		s.lease.extend()
		all = append(all, p)
		e := &pageExtents[p.section-1]
		e.pages, e.bytes = e.pages+1, e.bytes+p.bytes
		return nil
	})
	return all, pageExtents, err
}
