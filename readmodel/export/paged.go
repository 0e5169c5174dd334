package export

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"accountexport/events"
	"accountexport/readmodel/internal/pg"
)

// Pages come as rows of their own, after the rows of the accounts, where it is
// known from the last read that they are not too many: an array of them is put
// together by the server, sent as one value, and taken apart here again, which
// for 300 kB costs as much as all else. The accounts are compared with what the
// planner does not know, so that it keeps one plan: one for an account without
// pages seems so much cheaper that it would plan each time, 100 µs.
//
// Nothing says that a union gives its first part first, though PostgreSQL does
// so with the usual settings: a document that did not come in this order is
// taken for too large for one statement.
//
// The few pages of a document of up to shortMost bytes are an array all the
// same: beginning to look for them in a second part takes longer. One that has
// grown beyond them is read as what is large.
const (
	shortMost = 32 << 10

	arrayColumn = `,
    CASE WHEN a.usage_pages + a.key_pages + a.sandbox_pages BETWEEN 1 AND 16
        THEN ARRAY(SELECT body FROM {schema}.account_export_pages WHERE account_id = a.account_id ORDER BY section, page_key LIMIT 16)
    END`

	noRow      = `NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL` // of rowColumns
	noSections = `NULL, NULL, NULL, NULL, NULL, NULL`

	pagedSQL = rowColumns + sectionColumns + `, NULL::bytea` + rowTables + `
UNION ALL (SELECT ` + noRow + `, ` + noSections + `, body
    FROM {schema}.account_export_pages WHERE account_id = (SELECT $1::uuid) ORDER BY section, page_key LIMIT 256)`

	// Of the accounts $1 the sections where $3 says so, and the pages of $4.
	pagedManySQL = rowColumns + `, w.id,
    CASE WHEN w.whole THEN a.user_json END, CASE WHEN w.whole THEN a.team_json END, CASE WHEN w.whole THEN t.body END,
    CASE WHEN w.whole THEN a.usage_tail END, CASE WHEN w.whole THEN a.keys_tail END, CASE WHEN w.whole THEN a.sandboxes_tail END,
    NULL::bytea
FROM unnest($1::uuid[], $3::boolean[]) AS w (id, whole)
CROSS JOIN LATERAL (SELECT * FROM {schema}.account_export WHERE account_id = w.id LIMIT 1) a
LEFT JOIN LATERAL (SELECT * FROM {schema}.quota_tiers WHERE id = a.quota_tier_id LIMIT 1) t ON true
UNION ALL
SELECT ` + noRow + `, w.id, ` + noSections + `, p.body
FROM unnest($4::uuid[]) AS w (id)
CROSS JOIN LATERAL (SELECT body FROM {schema}.account_export_pages WHERE account_id = w.id ORDER BY section, page_key LIMIT 256) p`
)

// pageRows are rows of which those of the pages come last.
type pageRows struct {
	pgx.Rows
	columns
	more bool
}

func newPageRows(rows pgx.Rows) *pageRows {
	p := &pageRows{Rows: rows}
	if p.next(); p.more { // before its first row, what was lost has no columns
		p.text = columnsOf(rows).text
	}
	return p
}

func (p *pageRows) next() {
	if p.more = p.Next(); p.more {
		p.values = p.RawValues()
	}
}

// isPage tells whether the row is a page, which has no version.
func (p *pageRows) isPage() bool { return p.null(1) }

// document reads the pages of an account, of which there should be counts, for
// as long as the rows are its own, and puts the body together. It is nil where
// it has more than wholeMost bytes, or other pages than there should be.
func (p *pageRows) document(s *sections, counts [3]int, expected int, own func() bool, page int) []byte {
	body := make([]byte, 0, expected)
	fits := true
	put := func(piece []byte) {
		if fits = fits && len(body)+len(piece) <= wholeMost; fits {
			body = append(body, piece...)
		}
	}
	s.compose(put, func(section int) bool {
		for i := range counts[section] {
			if !p.more || !own() {
				fits = false
				break
			}
			if i > 0 {
				put(comma)
			}
			put(p.bytes(page))
			p.next()
		}
		return counts[section] > 0
	})
	for p.more && own() {
		fits = false // or the row says so already
		p.next()
	}
	switch {
	case !fits || p.err != nil:
		return nil
	case cap(body) > len(body)+len(body)/16: // it counts as long as it is
		return bytes.Clone(body)
	}
	return body
}

// scratch is for what is kept of a row until its pages have come.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// putScratch gives back what has the usual size.
func putScratch(b *[]byte) {
	if *b = (*b)[:0]; cap(*b) <= 64<<10 {
		scratch.Put(b)
	}
}

// keep copies the sections behind what is in the buffer, or into another
// where that is full.
func (s *sections) keep(in *[]byte) (c sections) {
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

// readPaged is read of an account that had pages.
func (q *queries) readPaged(ctx context.Context, db pg.Querier, r request) (f readResult, live, heard bool, err error) {
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
			continue // before its account's row, or of none
		}
		w := p.row(times)
		f.meta, f.pages, live, heard = w.meta(q), w.sum(), w.live, true
		if f.meta.State != Complete {
			continue
		}
		kept := scratch.Get().(*[]byte)
		defer putScratch(kept)
		s, page := p.sections(rowWidth)
		s = s.keep(kept)
		p.next()
		f.complete(p.document(&s, w.pages, r.size, func() bool { return true }, page))
		if err := p.err; err != nil {
			return f, false, true, err
		}
		break
	}
	rows.Close()
	return f, live, heard, rows.Err()
}

// complete notes a document, or that there is none of a length that one
// statement reads.
func (f *readResult) complete(body []byte) {
	if f.body, f.size = body, len(body); body == nil {
		f.size = large
	}
}

// readManyPaged is readMany of accounts of which something is known.
func (q *queries) readManyPaged(ctx context.Context, db pg.Querier, requests []request, all []readResult) (live, heard bool, err error) {
	n := max(len(requests), manyAtLeast)
	ids, whole, paged := make([]pgtype.UUID, n), make([]bool, n), make([]pgtype.UUID, n) // what is left is NULL
	at := make(map[events.UUID]int, len(requests))
	for i, r := range requests {
		ids[i], whole[i], at[r.account] = uuid(r.account), r.whole, i
		if r.whole && !r.flat {
			paged[i] = ids[i]
		}
	}
	times, err := q.asOf.times(ctx, db, q.generation)
	if err != nil {
		return false, false, err
	}
	rows, err := db.Query(ctx, q.pagedMany, ids, q.generation, whole, paged)
	if err != nil {
		return false, false, err
	}
	defer rows.Close()
	type begun struct {
		sections
		pages [3]int
	}
	wait := make(map[int]*begun, len(requests)) // for their pages
	kept := scratch.Get().(*[]byte)
	defer putScratch(kept)
	p := newPageRows(rows)
	for p.more {
		id := p.uuid(rowWidth)
		i, asked := at[id]
		switch {
		case p.err != nil:
			return false, false, p.err
		case !asked || p.isPage() && wait[i] == nil:
		case p.isPage():
			b := wait[i]
			delete(wait, i)
			all[i].complete(p.document(&b.sections, b.pages, requests[i].size, func() bool { return p.uuid(rowWidth) == id }, rowWidth+7))
			continue
		default:
			w := p.row(times)
			live, heard = w.live, true
			f := readResult{meta: w.meta(q), pages: w.sum()}
			if f.meta.State == Complete && whole[i] {
				s, _ := p.sections(rowWidth + 1)
				switch {
				case f.pages == 0:
					f.complete(s.assemble(nil, w.pages))
				case !paged[i].Valid:
					f.size = unknownMost // there were none: to be read again
				default:
					f.size = large // unless they come
					wait[i] = &begun{s.keep(kept), w.pages}
				}
			}
			all[i] = f
		}
		p.next()
	}
	return live, heard, errors.Join(p.err, rows.Err())
}
