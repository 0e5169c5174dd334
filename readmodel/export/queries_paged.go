package export

import (
	"bytes"

	"github.com/jackc/pgx/v5"
)

// maxArrayBytes is how long a document is at most whose pages are read as an array
// although pages as rows would do: for a few of them, beginning to look for them in
// a second part takes longer. One that has grown beyond them since it was last read
// is read as a large one.
const maxArrayBytes = 32 << 10

// nullRow and nullSections are the columns of a row that is a page.
const (
	nullRow      = `NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`
	nullSections = `NULL, NULL, NULL, NULL, NULL, NULL`
)

// pagedSQL is the account's row and sections, and then its pages as rows of their own,
// where the last read has shown that they are not too many. An array of them is
// assembled by the server, sent as one value and taken apart here, which for 300 kB
// costs as much as all else. The account is compared with what the planner does not
// know, so that it keeps one plan: a plan for an account without pages seems so much
// cheaper that it would plan each time, which takes 100 µs.
//
// Nothing says that a UNION ALL gives its first part first, though PostgreSQL does
// with the usual settings: a document whose rows come in another order is taken for
// too large for one statement, and read as a large one.
const pagedSQL = rowColumns + sectionColumns + `, NULL::bytea` + rowTables + `
UNION ALL (SELECT ` + nullRow + `, ` + nullSections + `, body
    FROM {schema}.account_export_pages WHERE account_id = (SELECT $1::uuid) ORDER BY section, page_key LIMIT 256)`

// pagedManySQL is the same for the accounts $1: the sections of those for which $3 is
// true, and the pages of $4.
const pagedManySQL = rowColumns + `, w.id,
    CASE WHEN w.whole THEN a.user_json END, CASE WHEN w.whole THEN a.team_json END, CASE WHEN w.whole THEN t.body END,
    CASE WHEN w.whole THEN a.usage_tail END, CASE WHEN w.whole THEN a.keys_tail END, CASE WHEN w.whole THEN a.sandboxes_tail END,
    NULL::bytea
FROM unnest($1::uuid[], $3::boolean[]) AS w (id, whole)
CROSS JOIN LATERAL (SELECT * FROM {schema}.account_export WHERE account_id = w.id LIMIT 1) a
LEFT JOIN LATERAL (SELECT * FROM {schema}.quota_tiers WHERE id = a.quota_tier_id LIMIT 1) t ON true
UNION ALL
SELECT ` + nullRow + `, w.id, ` + nullSections + `, p.body
FROM unnest($4::uuid[]) AS w (id)
CROSS JOIN LATERAL (SELECT body FROM {schema}.account_export_pages WHERE account_id = w.id ORDER BY section, page_key LIMIT 256) p`

// pageRows are the rows of such a statement.
type pageRows struct {
	pgx.Rows
	columns
	more bool
}

func newPageRows(rows pgx.Rows) *pageRows {
	p := &pageRows{Rows: rows}
	if p.next(); p.more { // where the connection is lost before the first row, there are no columns
		p.text = newColumns(rows).text
	}
	return p
}

func (p *pageRows) next() {
	if p.more = p.Next(); p.more {
		p.values = p.RawValues()
	}
}

// isPage tells whether the row is a page, in which an account's row has its version.
func (p *pageRows) isPage() bool { return p.null(1) }

// document reads the pages of an account, of which there should be counts, for
// as long as the rows are of the same account, and assembles the body. It is nil
// where the body would have more than maxWholeBytes, or the account has other pages
// than there should be.
func (p *pageRows) document(s *sections, counts [3]int, expected int, sameAccount func() bool, column int) []byte {
	body := make([]byte, 0, expected)
	fits := true
	put := func(piece []byte) {
		if fits = fits && len(body)+len(piece) <= maxWholeBytes; fits {
			body = append(body, piece...)
		}
	}
	s.compose(put, func(section int) bool {
		for i := range counts[section] {
			if !p.more || !sameAccount() {
				fits = false
				break
			}
			if i > 0 {
				put(comma)
			}
			put(p.bytes(column))
			p.next()
		}
		return counts[section] > 0
	})
	for p.more && sameAccount() {
		fits = false // it has more pages than its row says
		p.next()
	}
	switch {
	case !fits || p.err != nil:
		return nil
	case cap(body) > len(body)+len(body)/16: // the budget counts its length, so its capacity is to be no more
		return bytes.Clone(body)
	}
	return body
}
