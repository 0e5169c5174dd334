package readmodel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
)

// State says what there is to serve of an account.
type State uint8

// The states of an account.
const (
	NotHeard   State = iota // no message of the account was consumed yet
	Incomplete              // heard of, but user, team or the team's tier is missing
	Complete                // there is a document
	Erased                  // removed at its owner's wish; a tombstone stays
)

// Meta is all that is known of an account's export without its document.
type Meta struct {
	State        State
	Missing      []string  // where Incomplete: of "user", "team", "quota_tier"
	Position     uint64    // stream sequence of the account's last consumed message
	TierPosition uint64    // stream sequence of the tier's definition; 0 where there is none
	Parked       int       // messages of the account that are parked
	Dismissed    int       // those of them that no longer count
	AsOf         time.Time // all that the stream held at this time is in
	Major, Minor int       // projection version that folded it
	History      int       // that the positions belong to
}

// ETag is the weak entity tag of the document: the same for every content
// coding and on every replica, and the same before and after a rebuild by the
// same projection version. Where positions came to mean other messages, since
// a stream was recreated, tags are others, too.
func (m Meta) ETag() string {
	b := append(make([]byte, 0, 48), `W/"`...)
	b = append(strconv.AppendInt(b, int64(m.Major), 10), '.')
	b = append(strconv.AppendInt(b, int64(m.Minor), 10), '-')
	b = append(strconv.AppendUint(b, m.Position, 10), '-')
	b = strconv.AppendUint(b, m.TierPosition, 10)
	if m.History > 0 {
		b = strconv.AppendInt(append(b, '-'), int64(m.History), 10)
	}
	return string(append(b, '"'))
}

// Exports reads export documents of the live generation. It is safe for
// concurrent use.
type Exports struct {
	pool  *pgxpool.Pool
	large chan struct{} // holds one for each document that is being read page by page
	live  atomic.Pointer[queries]
	gather
}

// NewExports reads through the pool, of whose connections at most half are
// held by documents that are read page by page, at their reader's pace.
func NewExports(pool *pgxpool.Pool) *Exports {
	x := &Exports{pool: pool, large: make(chan struct{}, max(1, pool.Config().MaxConns/2))}
	x.alone, x.several = x.openAlone, x.openMany
	return x
}

// queries are the statements for one generation, and what is known of its
// checkpoints.
type queries struct {
	generation int64
	major      int
	history    int
	meta       string // row
	small      string // row and the whole body, where there are no pages
	many       string // the same of several accounts, and which
	parts      string // row and the sections
	page       string

	asOf asOf
}

// A read names its generation and learns in the same snapshot whether that is
// still live; the generation is $2.
const rowColumns = `
SELECT (SELECT state = 'live' FROM export.generations WHERE generation = $2), a.version_minor, a.erased_at IS NOT NULL,
    a.user_json IS NOT NULL, a.team_json IS NOT NULL, coalesce(t.position, 0), a.position, a.parked, a.dismissed,
    a.usage_pages + a.key_pages + a.sandbox_pages, a.partition, coalesce(t.partition, -1)`

const rowTables = `
FROM {schema}.account_export a LEFT JOIN {schema}.quota_tiers t ON t.id = a.quota_tier_id
WHERE a.account_id `

// bodyColumn is joined by the database, which is cheaper than to send and
// receive six columns.
const bodyColumn = `,
    CASE WHEN a.usage_pages + a.key_pages + a.sandbox_pages = 0 THEN
    '{"user":'::bytea || a.user_json || ',"team":' || a.team_json || ',"quota_tier":' || t.body ||
    ',"quota_usage":[' || coalesce(a.usage_tail, '') || '],"api_keys":[' || coalesce(a.keys_tail, '') ||
    '],"sandboxes":[' || coalesce(a.sandboxes_tail, '') || ']}' END`

func newQueries(g Generation) *queries {
	sql := func(text string) string { return inSchema(g.Number, text) }
	return &queries{
		generation: g.Number,
		major:      g.Major,
		history:    g.History,
		meta:       sql(rowColumns + rowTables + `= $1`),
		small:      sql(rowColumns + bodyColumn + rowTables + `= $1`),
		many:       sql(rowColumns + bodyColumn + `, a.account_id` + rowTables + `= ANY($1)`),
		parts: sql(rowColumns + `,
    a.user_json, a.team_json, t.body, a.usage_tail, a.keys_tail, a.sandboxes_tail` + rowTables + `= $1`),
		page: sql(`
SELECT body FROM {schema}.account_export_pages WHERE account_id = $1 AND section = $2 ORDER BY page_key`),
	}
}

// current returns the statements for the generation that was live last, and
// looks up which is live where none is known or stale is no longer.
func (x *Exports) current(ctx context.Context, db querier, stale *queries) (*queries, error) {
	if q := x.live.Load(); q != nil && q != stale {
		return q, nil
	}
	g, err := liveGeneration(ctx, db)
	if err != nil {
		return nil, err
	}
	q := newQueries(g)
	x.live.Store(q)
	return q, nil
}

// onLive runs read with the live generation's statements, again where another
// generation has gone live meanwhile.
func (x *Exports) onLive(ctx context.Context, db querier, read func(q *queries) (live bool, err error)) error {
	var stale *queries
	for range 4 {
		q, err := x.current(ctx, db, stale)
		if err != nil {
			return err
		}
		live, err := read(q)
		if live && err == nil {
			return nil
		}
		if err != nil && !dropped(err) {
			return err
		}
		stale = q
	}
	return errors.New("the live generation changes faster than it can be read")
}

// dropped tells that the generation's tables are gone.
func dropped(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000")
}

// Meta reads what there is to know of the account but its document. Errors
// are those of [Exports.Open].
func (x *Exports) Meta(ctx context.Context, account events.UUID) (Meta, error) {
	l, err := x.acquire(ctx)
	if err != nil {
		return Meta{}, err
	}
	defer l.release()
	var m Meta
	err = x.onLive(l.ctx, l.conn, func(q *queries) (bool, error) {
		var r row
		live, err := r.read(l.ctx, l.conn, q, q.meta, account)
		m = r.meta(q)
		return live, err
	})
	if err != nil {
		return Meta{}, l.failed(err)
	}
	return m, nil
}

// Open reads the account's document, all of it from one snapshot. The caller
// closes what is returned; where State is not Complete it has no body. Where
// no connection came free within half a second the error is [ErrBusy], and
// where the database took more than five, [ErrSlow].
func (x *Exports) Open(ctx context.Context, account events.UUID) (*Document, error) {
	f, err := x.gather.get(ctx, account)
	if err != nil {
		return nil, err
	}
	if f.pages > 0 && f.meta.State == Complete {
		return x.openPages(ctx, account)
	}
	return &Document{Meta: f.meta, body: f.body}, nil
}

// found is a document that has no pages, or that it has some.
type found struct {
	meta  Meta
	pages int
	body  []byte
}

func (x *Exports) openAlone(ctx context.Context, account events.UUID) (f found, err error) {
	l, err := x.acquire(ctx)
	if err != nil {
		return f, err
	}
	defer l.release()
	err = x.onLive(l.ctx, l.conn, func(q *queries) (bool, error) {
		var r row
		live, err := r.read(l.ctx, l.conn, q, q.small, account, &f.body)
		f.meta, f.pages = r.meta(q), r.pages
		return live, err
	})
	if err != nil {
		return f, l.failed(err)
	}
	return f, nil
}

// manyAtLeast is how long the array of accounts is made. The server takes an
// array that it does not know to have ten elements; for a shorter one it would
// make a plan of its own each time, which takes longer than the read.
const manyAtLeast = 10

func (x *Exports) openMany(ctx context.Context, accounts []events.UUID) (all map[events.UUID]found, err error) {
	l, err := x.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer l.release()
	ids := make([][16]byte, 0, max(len(accounts), manyAtLeast))
	for _, a := range accounts {
		ids = append(ids, a)
	}
	for len(ids) < manyAtLeast {
		ids = append(ids, ids[0])
	}
	err = x.onLive(l.ctx, l.conn, func(q *queries) (live bool, err error) {
		all = make(map[events.UUID]found, len(accounts))
		times, err := q.asOf.times(l.ctx, l.conn, q.generation)
		if err != nil {
			return false, err
		}
		rows, err := l.conn.Query(l.ctx, q.many, ids, q.generation)
		if err != nil {
			return false, err
		}
		defer rows.Close()
		for rows.Next() {
			r := row{heard: true, times: times}
			var f found
			var id [16]byte
			if err := rows.Scan(r.targets(&f.body, &id)...); err != nil {
				return false, err
			}
			live = r.live != nil && *r.live
			f.meta, f.pages = r.meta(q), r.pages
			all[id] = f
		}
		if err := rows.Err(); err != nil || len(all) > 0 {
			return live, err
		}
		return isLive(l.ctx, l.conn, q.generation)
	})
	if err != nil {
		return nil, l.failed(err)
	}
	return all, nil
}

// openPages begins a transaction for a document with pages, which the
// document keeps, with its connection.
func (x *Exports) openPages(ctx context.Context, account events.UUID) (*Document, error) {
	l, err := x.acquire(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case x.large <- struct{}{}:
		l.large = x.large
	default:
		l.release()
		return nil, ErrBusy
	}
	d := &Document{}
	err = x.onLive(l.ctx, l.conn, func(q *queries) (bool, error) {
		tx, err := l.conn.BeginTx(l.ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return false, err
		}
		*d = Document{lease: l, tx: tx, account: account, pageSQL: q.page}
		var r row
		live, err := r.read(l.ctx, tx, q, q.parts, account, &d.user, &d.team, &d.tier, &d.usage, &d.keys, &d.sandboxes)
		d.Meta = r.meta(q)
		if err != nil || !live {
			rollback(l.ctx, tx)
		}
		return live, err
	})
	if err != nil {
		l.release()
		return nil, l.failed(err)
	}
	l.timer.Stop() // from here on the document's reader sets the pace, and each page has a time of its own
	if d.State != Complete {
		d.Close()
	}
	return d, nil
}

// Ready says whether a live generation can be read. It waits for a connection
// as long as ctx lasts: that all are in use for a moment is no failure.
func (x *Exports) Ready(ctx context.Context) error {
	err := x.onLive(ctx, x.pool, func(q *queries) (bool, error) {
		var r row
		return r.read(ctx, x.pool, q, q.meta, events.UUID{})
	})
	if err != nil {
		return fmt.Errorf("read export: %w", err)
	}
	return nil
}

// row is what rowColumns give.
type row struct {
	heard, erased            bool
	user, team               bool
	minor                    int
	position, tierAt         uint64
	parked, dismissed, pages int
	partition, tierPartition int
	live                     *bool
	times                    *asOfTimes
}

// targets are what rowColumns, and more columns, are read into.
func (r *row) targets(extra ...any) []any {
	return append([]any{&r.live, &r.minor, &r.erased, &r.user, &r.team, &r.tierAt, &r.position, &r.parked, &r.dismissed, &r.pages,
		&r.partition, &r.tierPartition}, extra...)
}

// read reads the account's row, and more columns into extra. Of an account
// that was not heard of it learns at least whether the generation is live.
func (r *row) read(ctx context.Context, db querier, q *queries, sql string, account events.UUID, extra ...any) (live bool, err error) {
	if r.times, err = q.asOf.times(ctx, db, q.generation); err != nil {
		return false, err
	}
	err = db.QueryRow(ctx, sql, [16]byte(account), q.generation).Scan(r.targets(extra...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return isLive(ctx, db, q.generation)
	}
	r.heard = true
	return r.live != nil && *r.live, err
}

func isLive(ctx context.Context, db querier, generation int64) (bool, error) {
	var live *bool
	err := db.QueryRow(ctx, `
SELECT (SELECT state = 'live' FROM export.generations WHERE generation = $1)`, generation).Scan(&live)
	return live != nil && *live, err
}

func (r *row) meta(q *queries) Meta {
	m := Meta{Position: r.position, TierPosition: r.tierAt, Parked: r.parked, Dismissed: r.dismissed, Major: q.major, Minor: r.minor, History: q.history}
	switch {
	case !r.heard:
		m.State = NotHeard
		return m
	case r.erased:
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
