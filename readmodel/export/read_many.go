package export

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgtype"

	"accountexport/events"
	"accountexport/readmodel/internal/pg"
)

// minArrayLength is how long the arrays of arguments are made. The server takes an
// array whose length it does not know to have ten elements; for a shorter one it
// would make a plan of its own each time, which takes longer than the read.
const minArrayLength = 10

// readMany reads several accounts, each asked for once, into results. An account
// without a row is left unknown.
func (q *queries) readMany(ctx context.Context, db pg.Querier, requests []request, results []readResult) (live bool, err error) {
	clear(results)
	flat, known := true, true
	for _, r := range requests {
		flat = flat && r.flat
		known = known && (r.known || !r.document)
	}
	if known && !flat {
		live, found, err := q.readManyPaged(ctx, db, requests, results)
		if err == nil && !found {
			live, err = isGenerationLive(ctx, db, q.generation)
		}
		return live, err
	}
	n := max(len(requests), minArrayLength)
	ids, limits := make([]pgtype.UUID, n), make([]int64, n) // beyond the requests they are NULL
	index := make(map[events.UUID]int, len(requests))
	for i, r := range requests {
		ids[i], limits[i], index[r.account] = uuid(r.account), int64(r.shareLimit), i
	}
	times, err := q.asOf.times(ctx, db, q.generation)
	if err != nil {
		return false, err
	}
	sql, args := q.wholeMany, []any{ids, q.generation, limits}
	if flat {
		sql, args = q.flatMany, args[:2]
	}
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	anyRow := false
	for rows.Next() {
		c := newColumns(rows)
		w := c.row(times)
		live = w.live
		i, requested := index[c.uuid(rowWidth)]
		f := readResult{meta: w.meta(q), pages: w.pageCount()}
		if flat {
			f.takeFlatRow(&c, &w)
		} else {
			f.takeWholeRow(&c, &w)
		}
		if c.err != nil {
			return false, c.err
		}
		if requested {
			results[i], anyRow = f, true
		}
	}
	if err := rows.Err(); err != nil || anyRow {
		return live, err
	}
	return isGenerationLive(ctx, db, q.generation)
}

// takeFlatRow takes a row of flatManySQL.
func (f *readResult) takeFlatRow(c *columns, w *row) {
	f.size = unknownSizeLimit // where it has pages now, so it is read again
	if f.meta.State == Complete && f.pages == 0 {
		s, _ := c.sections(rowWidth + 1)
		f.body = s.assemble(nil, w.pages)
		f.size = len(f.body)
	}
}

// takeWholeRow takes a row of wholeManySQL.
func (f *readResult) takeWholeRow(c *columns, w *row) {
	f.size = sizeTooLarge
	if f.pages <= maxWholePages {
		f.size = int(c.int(rowWidth+1)) + f.pages + framingLength // an upper bound
	}
	if f.meta.State != Complete || c.null(rowWidth+2) {
		return
	}
	s, next := c.sections(rowWidth + 2)
	f.size = sizeTooLarge
	if list := c.byteaArray(next); len(list) == f.pages {
		f.body = s.assemble(list, w.pages)
		f.size = len(f.body)
	}
}

// readManyPaged is [queries.readMany] of accounts whose documents' sizes are known.
func (q *queries) readManyPaged(ctx context.Context, db pg.Querier, requests []request, results []readResult) (live, found bool, err error) {
	n := max(len(requests), minArrayLength)
	ids, document, paged := make([]pgtype.UUID, n), make([]bool, n), make([]pgtype.UUID, n) // beyond the requests they are NULL
	index := make(map[events.UUID]int, len(requests))
	for i, r := range requests {
		ids[i], document[i], index[r.account] = uuid(r.account), r.document, i
		if r.document && !r.flat {
			paged[i] = ids[i]
		}
	}
	times, err := q.asOf.times(ctx, db, q.generation)
	if err != nil {
		return false, false, err
	}
	rows, err := db.Query(ctx, q.pagedMany, ids, q.generation, document, paged)
	if err != nil {
		return false, false, err
	}
	defer rows.Close()
	type pendingDocument struct {
		sections
		pages [3]int
	}
	pending := make(map[int]*pendingDocument, len(requests)) // by request: documents whose pages have not come yet
	kept := sectionBuffers.Get().(*[]byte)
	defer putSectionBuffer(kept)
	p := newPageRows(rows)
	for p.more {
		id := p.uuid(rowWidth)
		i, requested := index[id]
		switch {
		case p.err != nil:
			return false, false, p.err
		case !requested || p.isPage() && pending[i] == nil:
		case p.isPage():
			b := pending[i]
			delete(pending, i)
			results[i].setBody(p.document(&b.sections, b.pages, requests[i].size, func() bool { return p.uuid(rowWidth) == id }, rowWidth+7))
			continue
		default:
			w := p.row(times)
			live, found = w.live, true
			f := readResult{meta: w.meta(q), pages: w.pageCount()}
			if f.meta.State == Complete && document[i] {
				s, _ := p.sections(rowWidth + 1)
				switch {
				case f.pages == 0:
					f.setBody(s.assemble(nil, w.pages))
				case !paged[i].Valid:
					f.size = unknownSizeLimit // it had no pages before, so it is read again
				default:
					f.size = sizeTooLarge // unless its pages come
					pending[i] = &pendingDocument{s.copyInto(kept), w.pages}
				}
			}
			results[i] = f
		}
		p.next()
	}
	return live, found, errors.Join(p.err, rows.Err())
}
