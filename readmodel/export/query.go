package export

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

const (
	wholeMost  = 512 << 10 // bytes of a document that one statement reads at most
	wholePages = 256       // pages of it, as the statements below say
	sharedMost = 2 << 20   // bytes of all documents in one statement
)

// queries are the statements for one generation, and what is known of its
// checkpoints.
type queries struct {
	generation int64
	major      int
	history    int
	meta       string // row
	small      string // row and sections, where there are no pages
	whole      string // row, sections and pages
	flat       string // small of several accounts, and which
	many       string // whole of several accounts, and which
	short      string // whole, where it was short before
	paged      string // whole, where it was not too long before
	pagedMany  string // paged of several accounts, and which
	sums       string // how many pages a section has, and how long they are together
	pages      string // all of them
	extents    string // how long each is
	some       string // those from one to another
	written    string // by which transaction the row was written, and its pages
	asOf       asOf
}

// A read names its generation and learns in the same snapshot whether that is
// still live; the generation is $2.
const rowColumns = `
SELECT (SELECT state = 'live' FROM export.generations WHERE generation = $2), a.version_minor, a.erased_at IS NOT NULL,
    a.user_json IS NOT NULL, a.team_json IS NOT NULL, coalesce(t.position, 0), a.position, a.parked, a.dismissed,
    a.usage_pages, a.key_pages, a.sandbox_pages, a.partition, coalesce(t.partition, -1)`

const rowTables = `
FROM {schema}.account_export a LEFT JOIN {schema}.quota_tiers t ON t.id = a.quota_tier_id
WHERE a.account_id = $1`

const sectionColumns = `,
    a.user_json, a.team_json, t.body, a.usage_tail, a.keys_tail, a.sandboxes_tail`

// pagesColumn is what pages there are, in order; nothing where they are too
// many or too long. The limits keep what is done, and what the planner takes it
// to cost, within bounds, and the order keeps it from going through the table
// where a few accounts have most of the pages (measured: it did). That a page's length is read without its content is
// what octet_length of a stored value does.
const pagesColumn = `,
    CASE WHEN a.usage_pages + a.key_pages + a.sandbox_pages = 0 THEN NULL
        WHEN a.usage_pages + a.key_pages + a.sandbox_pages <= 256 AND (SELECT sum(octet_length(body)) FROM (
            SELECT body FROM {schema}.account_export_pages WHERE account_id = a.account_id ORDER BY section, page_key LIMIT 256) p) <= 524288
        THEN ARRAY(SELECT body FROM {schema}.account_export_pages WHERE account_id = a.account_id ORDER BY section, page_key LIMIT 256)
    END`

// manySQL is by subqueries that are not joined, each with a limit, so that
// it goes by primary keys also where the planner knows nothing of the tables.
const manySQL = rowColumns + `, w.id, s.bytes,
    CASE WHEN s.bytes <= w.most THEN a.user_json END, CASE WHEN s.bytes <= w.most THEN a.team_json END,
    CASE WHEN s.bytes <= w.most THEN t.body END, CASE WHEN s.bytes <= w.most THEN a.usage_tail END,
    CASE WHEN s.bytes <= w.most THEN a.keys_tail END, CASE WHEN s.bytes <= w.most THEN a.sandboxes_tail END,
    CASE WHEN s.bytes <= w.most AND a.usage_pages + a.key_pages + a.sandbox_pages > 0
        THEN ARRAY(SELECT body FROM {schema}.account_export_pages WHERE account_id = w.id ORDER BY section, page_key LIMIT 256) END
FROM unnest($1::uuid[], $3::bigint[]) AS w (id, most)
CROSS JOIN LATERAL (SELECT * FROM {schema}.account_export WHERE account_id = w.id LIMIT 1) a
LEFT JOIN LATERAL (SELECT * FROM {schema}.quota_tiers WHERE id = a.quota_tier_id LIMIT 1) t ON true
CROSS JOIN LATERAL (SELECT coalesce(octet_length(a.user_json), 0)::bigint + coalesce(octet_length(a.team_json), 0)
    + coalesce(octet_length(t.body), 0) + coalesce(octet_length(a.usage_tail), 0)
    + coalesce(octet_length(a.keys_tail), 0) + coalesce(octet_length(a.sandboxes_tail), 0)
    + CASE WHEN w.most = 0 OR a.usage_pages + a.key_pages + a.sandbox_pages = 0 THEN 0
        WHEN a.usage_pages + a.key_pages + a.sandbox_pages > 256 THEN 1000000000
        ELSE (SELECT sum(octet_length(body)) FROM (
            SELECT body FROM {schema}.account_export_pages WHERE account_id = w.id ORDER BY section, page_key LIMIT 256) p)
    END AS bytes OFFSET 0) s`

// flatSQL is for several that had no pages when they were read last: what may
// not be needed costs a statement a third more, where it is for four accounts.
const flatSQL = rowColumns + `, w.id` + sectionColumns + `
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN LATERAL (SELECT * FROM {schema}.account_export WHERE account_id = w.id LIMIT 1) a
LEFT JOIN LATERAL (SELECT * FROM {schema}.quota_tiers WHERE id = a.quota_tier_id LIMIT 1) t ON true`

func newQueries(g readmodel.Generation) *queries {
	sql := func(text string) string { return readmodel.InSchema(g.Number, text) }
	return &queries{
		generation: g.Number,
		major:      g.Major,
		history:    g.History,
		meta:       sql(rowColumns + rowTables),
		small:      sql(rowColumns + sectionColumns + rowTables),
		whole:      sql(rowColumns + sectionColumns + pagesColumn + rowTables),
		flat:       sql(flatSQL),
		many:       sql(manySQL),
		short:      sql(rowColumns + sectionColumns + arrayColumn + rowTables),
		paged:      sql(pagedSQL),
		pagedMany:  sql(pagedManySQL),
		sums: sql(`
SELECT section, count(*), sum(octet_length(body)) FROM {schema}.account_export_pages WHERE account_id = $1 GROUP BY section`),
		pages:   sql(`SELECT section, body FROM {schema}.account_export_pages WHERE account_id = $1 ORDER BY section, page_key`),
		extents: sql(`SELECT section, page_key, octet_length(body) FROM {schema}.account_export_pages WHERE account_id = $1 ORDER BY section, page_key`),
		written: sql(`SELECT xmin::text FROM {schema}.account_export WHERE account_id = $1`),
		some: sql(`
SELECT body FROM {schema}.account_export_pages
WHERE account_id = $1 AND (section, page_key) >= ($2, $3) AND (section, page_key) <= ($4, $5) ORDER BY section, page_key`),
	}
}

// request is what is asked of an account: its document, or only the rest.
type request struct {
	account events.UUID
	whole   bool
	known   bool // it was read before, and one statement did
	flat    bool // it had no pages when it was read last
	size    int  // of the document when it was read last, where that is known
	most    int  // bytes of the document that are read together with others; 0: only the rest
}

// readResult is an account's row, and its document where that was asked for and not
// too long.
type readResult struct {
	meta  Meta
	pages int
	size  int    // of the document; above wholeMost where one statement does not read it
	body  []byte // nil where it was not read
}

// uuid is an account for the database, whose type pgx knows also where it is
// not to ask the server.
func uuid(account events.UUID) pgtype.UUID { return pgtype.UUID{Bytes: account, Valid: true} }

// large stands for a size that is not known, and too large for one statement.
const large = 1 << 30

// read reads one account. Of one that was not heard of it learns at least
// whether the generation is live.
func (q *queries) read(ctx context.Context, db pg.Querier, r request) (f readResult, live bool, err error) {
	if r.whole && r.known && !r.flat && r.size > shortMost {
		f, live, heard, err := q.readPaged(ctx, db, r)
		if err == nil && !heard {
			live, err = isLive(ctx, db, q.generation)
		}
		return f, live, err
	}
	sql := q.whole
	switch {
	case !r.whole:
		sql = q.meta
	case r.flat:
		sql = q.small
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
		c := columnsOf(rows)
		w := c.row(times)
		f.meta, f.pages, live = w.meta(q), w.sum(), w.live
		if r.whole && f.meta.State == Complete {
			f.size = large
			s, next := c.sections(rowWidth)
			var pages [][]byte
			if !r.flat {
				pages = c.list(next)
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
			r.flat = false // no longer
			return q.read(ctx, db, r)
		}
		return f, live, nil
	}
	if err := rows.Err(); err != nil {
		return f, false, err
	}
	live, err = isLive(ctx, db, q.generation)
	return f, live, err
}

// manyAtLeast is how long the array of accounts is made. The server takes an
// array that it does not know to have ten elements; for a shorter one it would
// make a plan of its own each time, which takes longer than the read.
const manyAtLeast = 10

// readMany reads several accounts, each asked for once, into all. What is not
// there was not heard of.
func (q *queries) readMany(ctx context.Context, db pg.Querier, requests []request, all []readResult) (live bool, err error) {
	clear(all)
	flat, known := true, true
	for _, r := range requests {
		flat = flat && r.flat
		known = known && (r.known || !r.whole)
	}
	if known && !flat {
		live, heard, err := q.readManyPaged(ctx, db, requests, all)
		if err == nil && !heard {
			live, err = isLive(ctx, db, q.generation)
		}
		return live, err
	}
	n := max(len(requests), manyAtLeast)
	ids, most := make([]pgtype.UUID, n), make([]int64, n) // what is left is NULL
	at := make(map[events.UUID]int, len(requests))
	for i, r := range requests {
		ids[i], most[i], at[r.account] = uuid(r.account), int64(r.most), i
	}
	times, err := q.asOf.times(ctx, db, q.generation)
	if err != nil {
		return false, err
	}
	sql, args := q.many, []any{ids, q.generation, most}
	if flat {
		sql, args = q.flat, args[:2]
	}
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	some := false
	for rows.Next() {
		c := columnsOf(rows)
		w := c.row(times)
		live = w.live
		i, asked := at[c.uuid(rowWidth)]
		f := readResult{meta: w.meta(q), pages: w.sum()}
		if flat {
			f.flat(&c, &w)
		} else {
			f.whole(&c, &w)
		}
		if c.err != nil {
			return false, c.err
		}
		if asked {
			all[i], some = f, true
		}
	}
	if err := rows.Err(); err != nil || some {
		return live, err
	}
	return isLive(ctx, db, q.generation)
}

// flat takes a row of flatSQL.
func (f *readResult) flat(c *columns, w *row) {
	f.size = unknownMost // where there are pages now: to be read again
	if f.meta.State == Complete && f.pages == 0 {
		s, _ := c.sections(rowWidth + 1)
		f.body = s.assemble(nil, w.pages)
		f.size = len(f.body)
	}
}

// whole takes a row of manySQL.
func (f *readResult) whole(c *columns, w *row) {
	f.size = large
	if f.pages <= wholePages {
		f.size = int(c.int(rowWidth+1)) + f.pages + partsLength // at most
	}
	if f.meta.State != Complete || c.null(rowWidth+2) {
		return
	}
	s, next := c.sections(rowWidth + 2)
	f.size = large
	if list := c.list(next); len(list) == f.pages {
		f.body = s.assemble(list, w.pages)
		f.size = len(f.body)
	}
}

func isLive(ctx context.Context, db pg.Querier, generation int64) (bool, error) {
	var live *bool
	err := db.QueryRow(ctx, `
SELECT (SELECT state = 'live' FROM export.generations WHERE generation = $1)`, generation).Scan(&live)
	return live != nil && *live, err
}

// row is what rowColumns give.
type row struct {
	live, erased, user, team bool
	minor                    int
	position, tierAt         uint64
	parked, dismissed        int
	pages                    [3]int
	partition, tierPartition int
	times                    *asOfTimes
}

// rowWidth is how many columns they are.
const rowWidth = 14

// sum is how many pages there are.
func (r *row) sum() int { return r.pages[0] + r.pages[1] + r.pages[2] }

func (r *row) meta(q *queries) Meta {
	m := Meta{Position: r.position, TierPosition: r.tierAt, Parked: r.parked, Dismissed: r.dismissed, Major: q.major, Minor: r.minor, History: q.history}
	if r.erased {
		m.State = Erased
		return m
	}
	m.Missing = projections.Missing(r.user, r.team, r.tierPartition >= 0)
	if m.State = Complete; m.Missing != nil {
		m.State = Incomplete
	}
	m.AsOf = r.times.of(r.partition, r.tierPartition)
	return m
}

// columns are a row's values as the server sent them: valid until the next
// row. They are taken as they are, which for a row of twenty takes a fraction
// of what scanning them takes. err is the first that was not what it should be.
type columns struct {
	values [][]byte
	text   bool // as a server sends them to a pool that does not prepare statements
	err    error
}

func columnsOf(rows pgx.Rows) columns {
	return columns{values: rows.RawValues(), text: rows.FieldDescriptions()[0].Format == pgx.TextFormatCode}
}

func (c *columns) row(times *asOfTimes) row {
	return row{live: c.bool(0), minor: int(c.int(1)), erased: c.bool(2), user: c.bool(3), team: c.bool(4),
		tierAt: uint64(c.int(5)), position: uint64(c.int(6)), parked: int(c.int(7)), dismissed: int(c.int(8)),
		pages: [3]int{int(c.int(9)), int(c.int(10)), int(c.int(11))}, partition: int(c.int(12)), tierPartition: int(c.int(13)), times: times}
}

// sections are the six columns from i on; the column after them comes next.
func (c *columns) sections(i int) (s sections, next int) {
	return sections{user: c.bytes(i), team: c.bytes(i + 1), tier: c.bytes(i + 2),
		tails: [3][]byte{c.bytes(i + 3), c.bytes(i + 4), c.bytes(i + 5)}}, i + 6
}

func (c *columns) fail(i int) {
	if c.err == nil {
		c.err = fmt.Errorf("column %d is not what it should be: %d bytes", i, len(c.values[i]))
	}
}

func (c *columns) null(i int) bool { return c.values[i] == nil }

// bool is false for NULL.
func (c *columns) bool(i int) bool {
	v := c.values[i]
	return len(v) == 1 && (v[0] == 1 || v[0] == 't')
}

func (c *columns) int(i int) int64 {
	v := c.values[i]
	switch {
	case c.text:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			c.fail(i)
		}
		return n
	case len(v) == 8:
		return int64(binary.BigEndian.Uint64(v))
	case len(v) == 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	case len(v) == 2:
		return int64(int16(binary.BigEndian.Uint16(v)))
	}
	c.fail(i)
	return 0
}

func (c *columns) uuid(i int) (id events.UUID) {
	v := c.values[i]
	if c.text {
		id, err := events.ParseUUID(string(v))
		if err != nil {
			c.fail(i)
		}
		return id
	}
	if copy(id[:], v) != len(id) {
		c.fail(i)
	}
	return id
}

func (c *columns) bytes(i int) []byte {
	if !c.text || c.values[i] == nil {
		return c.values[i]
	}
	return c.unescape(i, c.values[i])
}

// unescape is a bytea from its text, as either bytea_output has it: hex begins
// with \x, which the other form never has in it.
func (c *columns) unescape(i int, v []byte) []byte {
	if digits, ok := bytes.CutPrefix(v, []byte(`\x`)); ok {
		b := make([]byte, hex.DecodedLen(len(digits)))
		if _, err := hex.Decode(b, digits); err != nil {
			c.fail(i)
		}
		return b
	}
	b := make([]byte, 0, len(v))
	for len(v) > 0 {
		plain := bytes.IndexByte(v, '\\')
		if plain < 0 {
			return append(b, v...)
		}
		b, v = append(b, v[:plain]...), v[plain+1:]
		if len(v) > 0 && v[0] == '\\' {
			b, v = append(b, '\\'), v[1:]
			continue
		}
		octal, err := strconv.ParseUint(string(v[:min(3, len(v))]), 8, 8)
		if err != nil || len(v) < 3 {
			c.fail(i)
			return nil
		}
		b, v = append(b, byte(octal)), v[3:]
	}
	return b
}

// parseArray is an array from its text: elements are quoted where they have to be,
// and what is not quoted has no backslash.
func (c *columns) parseArray(i int, v []byte) (all [][]byte) {
	if len(v) < 2 || v[0] != '{' || v[len(v)-1] != '}' {
		c.fail(i)
		return nil
	}
	for v = v[1:]; len(v) > 1; v = v[1:] { // beyond the comma, or the brace at the end
		var element []byte
		if v[0] != '"' {
			end := bytes.IndexAny(v, ",}")
			if element = v[:end]; end == 0 || string(element) == "NULL" {
				c.fail(i)
				return nil
			}
			v = v[end:]
		} else {
			for v = v[1:]; len(v) > 1 && v[0] != '"'; {
				plain := bytes.IndexAny(v, `\"`)
				if plain < 0 {
					break
				}
				element, v = append(element, v[:plain]...), v[plain:]
				if v[0] == '\\' && len(v) > 2 {
					element, v = append(element, v[1]), v[2:]
				} else if v[0] == '\\' {
					break
				}
			}
			if len(v) < 2 || v[0] != '"' {
				c.fail(i)
				return nil
			}
			v = v[1:]
		}
		if v[0] != ',' && len(v) > 1 || v[0] == ',' && len(v) < 3 {
			c.fail(i)
			return nil
		}
		all = append(all, c.unescape(i, element))
	}
	return all
}

// list is an array of bytea without NULLs.
func (c *columns) list(i int) (all [][]byte) {
	v := c.values[i]
	switch {
	case v == nil:
		return nil
	case c.text:
		return c.parseArray(i, v)
	case len(v) == 12: // no dimension
		return nil
	case len(v) < 20:
		c.fail(i)
		return nil
	}
	all = make([][]byte, 0, min(wholePages, int(binary.BigEndian.Uint32(v[12:]))))
	for v = v[20:]; len(v) >= 4; {
		n := int(int32(binary.BigEndian.Uint32(v)))
		if n < 0 || n > len(v)-4 {
			c.fail(i)
			return nil
		}
		all, v = append(all, v[4:4+n]), v[4+n:]
	}
	return all
}
