package export

import (
	"accountexport/readmodel"
)

// queries are the statements for one generation, and what is known of its
// checkpoints.
type queries struct {
	generation int64
	major      int
	history    int
	asOf       asOfCache

	// Of one account.
	meta  string // row
	flat  string // row and sections, of an account without pages
	short string // row, sections, and up to 16 pages as an array
	whole string // row, sections, and up to 256 pages as an array, where their bytes are few enough
	paged string // row and sections, and then each page as a row

	// Of several accounts.
	flatMany  string
	wholeMany string
	pagedMany string

	// In a snapshot, of one account.
	rowVersion  string // by which transaction the row was written, and its pages
	sectionSums string // how many pages a section has, and how many bytes they are together
	allPages    string
	pageExtents string // key and bytes of each page
	pageRange   string // the pages from one key to another

	// In a snapshot, of one account whose pages may have compressed copies; empty where
	// the generation has no table of those.
	segments      string
	loosePages    string // the pages between segments
	segmentBodies string
}

func newQueries(g readmodel.Generation) *queries {
	sql := func(text string) string { return readmodel.InSchema(g.Number, text) }
	q := &queries{
		generation: g.Number,
		major:      g.Major,
		history:    g.Incarnation,
		meta:       sql(rowColumns + rowTables),
		flat:       sql(rowColumns + sectionColumns + rowTables),
		whole:      sql(rowColumns + sectionColumns + boundedPagesColumn + rowTables),
		flatMany:   sql(flatManySQL),
		wholeMany:  sql(wholeManySQL),
		short:      sql(rowColumns + sectionColumns + pageArrayColumn + rowTables),
		paged:      sql(pagedSQL),
		pagedMany:  sql(pagedManySQL),
		sectionSums: sql(`
SELECT section, count(*), sum(octet_length(body)) FROM {schema}.account_export_pages WHERE account_id = $1 GROUP BY section`),
		allPages:    sql(`SELECT section, body FROM {schema}.account_export_pages WHERE account_id = $1 ORDER BY section, page_key`),
		pageExtents: sql(`SELECT section, page_key, octet_length(body) FROM {schema}.account_export_pages WHERE account_id = $1 ORDER BY section, page_key`),
		rowVersion:  sql(`SELECT xmin::text FROM {schema}.account_export WHERE account_id = $1`),
		pageRange: sql(`
SELECT body FROM {schema}.account_export_pages
WHERE account_id = $1 AND (section, page_key) >= ($2, $3) AND (section, page_key) <= ($4, $5) ORDER BY section, page_key`),
	}
	if g.Segments {
		q.segments = sql(`
SELECT section, first_key, last_key, cardinality(written_by), length, crc, octet_length(deflated) FROM {schema}.account_export_segments s
WHERE account_id = $1 AND ` + SegmentHolds + ` ORDER BY section, first_key`)
		q.loosePages = sql(`
SELECT p.section, p.page_key, p.body FROM unnest($2::smallint[], $3::text[], $4::text[]) AS g (section, low, high)
CROSS JOIN LATERAL (SELECT section, page_key, body FROM {schema}.account_export_pages
    WHERE account_id = $1 AND section = g.section AND page_key >= g.low AND page_key < g.high LIMIT $5) p
ORDER BY p.section, p.page_key LIMIT $5`)
		q.segmentBodies = sql(`
SELECT s.deflated FROM unnest($2::smallint[], $3::text[]) WITH ORDINALITY AS g (section, first_key, n)
CROSS JOIN LATERAL (SELECT deflated FROM {schema}.account_export_segments
    WHERE account_id = $1 AND section = g.section AND first_key = g.first_key LIMIT 1) s ORDER BY g.n`)
	}
	return q
}

// rowColumns are what a [row] is read from. A read names its generation ($2) and
// learns in the same snapshot whether that is still live.
const rowColumns = `
SELECT (SELECT state = 'live' FROM export.generations WHERE generation = $2), a.version_minor, a.erased_at IS NOT NULL,
    a.user_json IS NOT NULL, a.team_json IS NOT NULL, coalesce(t.position, 0), a.position, a.parked, a.dismissed,
    a.usage_pages, a.key_pages, a.sandbox_pages, a.partition, coalesce(t.partition, -1)`

// rowTables is the account ($1) and its tier.
const rowTables = `
FROM {schema}.account_export a LEFT JOIN {schema}.quota_tiers t ON t.id = a.quota_tier_id
WHERE a.account_id = $1`

// sectionColumns are what [sections] are read from.
const sectionColumns = `,
    a.user_json, a.team_json, t.body, a.usage_tail, a.keys_tail, a.sandboxes_tail`

// boundedPagesColumn is the pages in order; NULL where they are too many or too long.
// The limits bound what is done, and what the planner takes it to cost; the order
// keeps the planner from a scan of the table where a few accounts have most of the
// pages (measured: it did scan). octet_length of a stored value reads its length
// without its content.
const boundedPagesColumn = `,
    CASE WHEN a.usage_pages + a.key_pages + a.sandbox_pages = 0 THEN NULL
        WHEN a.usage_pages + a.key_pages + a.sandbox_pages <= 256 AND (SELECT sum(octet_length(body)) FROM (
            SELECT body FROM {schema}.account_export_pages WHERE account_id = a.account_id ORDER BY section, page_key LIMIT 256) p) <= 524288
        THEN ARRAY(SELECT body FROM {schema}.account_export_pages WHERE account_id = a.account_id ORDER BY section, page_key LIMIT 256)
    END`

// pageArrayColumn is up to 16 pages in order; NULL where there are more.
const pageArrayColumn = `,
    CASE WHEN a.usage_pages + a.key_pages + a.sandbox_pages BETWEEN 1 AND 16
        THEN ARRAY(SELECT body FROM {schema}.account_export_pages WHERE account_id = a.account_id ORDER BY section, page_key LIMIT 16)
    END`

// flatManySQL is for several accounts that had no pages when they were last read:
// columns that are not needed cost a statement for four accounts a third more.
const flatManySQL = rowColumns + `, w.id` + sectionColumns + `
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN LATERAL (SELECT * FROM {schema}.account_export WHERE account_id = w.id LIMIT 1) a
LEFT JOIN LATERAL (SELECT * FROM {schema}.quota_tiers WHERE id = a.quota_tier_id LIMIT 1) t ON true`

// wholeManySQL reads of each of the accounts $1 up to $3 bytes. Its subqueries are not
// joined and have a limit each, so that it goes by primary keys also where the
// planner knows nothing of the tables.
const wholeManySQL = rowColumns + `, w.id, s.bytes,
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
