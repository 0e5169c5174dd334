package export

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgtype"

	"accountexport/events"
	"accountexport/readmodel/internal/pg"
)

// uuid is an account as an argument whose type pgx also knows where it must not ask
// the server.
func uuid(account events.UUID) pgtype.UUID { return pgtype.UUID{Bytes: account, Valid: true} }

// read reads one account. Where the account has no row it learns at least whether
// the generation is live.
func (q *queries) read(ctx context.Context, db pg.Querier, r request) (f readResult, live bool, err error) {
	if r.document && r.known && !r.flat && r.size > maxArrayBytes {
		f, live, known, err := q.readPaged(ctx, db, r)
		if err == nil && !known {
			live, err = isGenerationLive(ctx, db, q.generation)
		}
		return f, live, err
	}
	sql := q.whole
	switch {
	case !r.document:
		sql = q.meta
	case r.flat:
		sql = q.flat
	case r.known:
		sql = q.short
	}
	times, err := q.asOf.times(ctx, db, q.generation)
	if err != nil {
		return f, false, err
	}
	rows, err := db.Query(ctx, sql, uuid(r.account), q.generation)
	if err != nil {
		return f, false, err
	}
	defer rows.Close()
	if rows.Next() {
		c := newColumns(rows)
		w := c.row(times)
		f.meta, f.pages, live = w.meta(q), w.pageCount(), w.live
		if r.document && f.meta.State == Complete {
			f.size = sizeTooLarge
			s, next := c.sections(rowWidth)
			var pages [][]byte
			if !r.flat {
				pages = c.byteaArray(next)
			}
			if len(pages) == f.pages {
				f.body = s.assemble(pages, w.pages)
				f.size = len(f.body)
			}
		}
		rows.Close()
		if err := errors.Join(c.err, rows.Err()); err != nil {
			return f, false, err
		}
		if r.flat && f.body == nil && f.pages > 0 {
			r.flat = false // it has pages now
			return q.read(ctx, db, r)
		}
		return f, live, nil
	}
	if err := rows.Err(); err != nil {
		return f, false, err
	}
	live, err = isGenerationLive(ctx, db, q.generation)
	return f, live, err
}

// readPaged is [queries.read] of an account that had pages.
func (q *queries) readPaged(ctx context.Context, db pg.Querier, r request) (f readResult, live, known bool, err error) {
	times, err := q.asOf.times(ctx, db, q.generation)
	if err != nil {
		return f, false, false, err
	}
	rows, err := db.Query(ctx, q.paged, uuid(r.account), q.generation)
	if err != nil {
		return f, false, false, err
	}
	defer rows.Close()
	for p := newPageRows(rows); p.more; p.next() {
		if p.isPage() {
			continue // it came before its account's row, or the account has none
		}
		w := p.row(times)
		f.meta, f.pages, live, known = w.meta(q), w.pageCount(), w.live, true
		if f.meta.State != Complete {
			continue
		}
		kept := sectionBuffers.Get().(*[]byte)
		defer putSectionBuffer(kept)
		s, page := p.sections(rowWidth)
		s = s.copyInto(kept)
		p.next()
		f.setBody(p.document(&s, w.pages, r.size, func() bool { return true }, page))
		if err := p.err; err != nil {
			return f, false, true, err
		}
		break
	}
	rows.Close()
	return f, live, known, rows.Err()
}

// setBody notes a document; nil: there is none that one statement reads.
func (f *readResult) setBody(body []byte) {
	if f.body, f.size = body, len(body); body == nil {
		f.size = sizeTooLarge
	}
}

// isGenerationLive looks up whether a generation is live, where no row has said it.
func isGenerationLive(ctx context.Context, db pg.Querier, generation int64) (bool, error) {
	var live *bool
	err := db.QueryRow(ctx, `
SELECT (SELECT state = 'live' FROM export.generations WHERE generation = $1)`, generation).Scan(&live)
	return live != nil && *live, err
}
