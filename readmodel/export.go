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
	AsOf         time.Time // all that the stream held at this time is in
	Major, Minor int       // projection version that folded it
}

// ETag is the weak entity tag of the document: the same for every content
// coding and on every replica, and the same before and after a rebuild by the
// same projection version.
func (m Meta) ETag() string {
	b := append(make([]byte, 0, 48), `W/"`...)
	b = append(strconv.AppendInt(b, int64(m.Major), 10), '.')
	b = append(strconv.AppendInt(b, int64(m.Minor), 10), '-')
	b = append(strconv.AppendUint(b, m.Position, 10), '-')
	b = strconv.AppendUint(b, m.TierPosition, 10)
	return string(append(b, '"'))
}

// Exports reads export documents of the live generation. It is safe for
// concurrent use.
type Exports struct {
	pool *pgxpool.Pool
	live atomic.Pointer[queries]
}

// NewExports reads through the pool.
func NewExports(pool *pgxpool.Pool) *Exports { return &Exports{pool: pool} }

// queries are the statements for one generation.
type queries struct {
	generation int64
	meta, full string
	page       string
}

// A read names its generation and learns in the same snapshot whether that is
// still live.
const metaColumns = `
SELECT g.state = 'live', g.version_major, coalesce(a.version_minor, g.version_minor), a.account_id IS NOT NULL, a.erased_at IS NOT NULL,
    a.user_json IS NOT NULL, a.team_json IS NOT NULL, t.id IS NOT NULL, coalesce(a.position, 0), coalesce(t.position, 0),
    coalesce(a.parked, 0), coalesce(a.usage_pages + a.key_pages + a.sandbox_pages, 0),
    coalesce(least(c.as_of, (SELECT as_of FROM export.checkpoints WHERE generation = $2 AND partition = t.partition)), 'epoch')`

const metaTables = `
FROM export.generations g
LEFT JOIN {schema}.account_export a ON a.account_id = $1
LEFT JOIN {schema}.quota_tiers t ON t.id = a.quota_tier_id
LEFT JOIN export.checkpoints c ON c.generation = $2 AND c.partition = a.partition
WHERE g.generation = $2`

func newQueries(generation int64) *queries {
	return &queries{
		generation: generation,
		meta:       inSchema(generation, metaColumns+metaTables),
		full: inSchema(generation, metaColumns+`,
    a.user_json, a.team_json, t.body, a.usage_tail, a.keys_tail, a.sandboxes_tail`+metaTables),
		page: inSchema(generation, `
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
	q := newQueries(g.Number)
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

// Meta reads what there is to know of the account but its document.
func (x *Exports) Meta(ctx context.Context, account events.UUID) (Meta, error) {
	var r row
	err := x.onLive(ctx, x.pool, func(q *queries) (bool, error) {
		r = row{}
		err := x.pool.QueryRow(ctx, q.meta, [16]byte(account), q.generation).Scan(r.metaTargets()...)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		return r.live, err
	})
	if err != nil {
		return Meta{}, fmt.Errorf("read export: %w", err)
	}
	return r.meta(), nil
}

// Open reads the account's document, all of it from one snapshot. The caller
// closes what is returned; where State is not Complete it has no body.
func (x *Exports) Open(ctx context.Context, account events.UUID) (*Document, error) {
	d, err := x.read(ctx, x.pool, account)
	if err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	if d.pages == 0 || d.State != Complete {
		return d, nil
	}
	// Sealed pages have to come from the snapshot that the row comes from.
	tx, err := x.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	if d, err = x.read(ctx, tx, account); err != nil {
		rollback(ctx, tx)
		return nil, fmt.Errorf("read export: %w", err)
	}
	d.ctx, d.tx, d.account = ctx, tx, account
	return d, nil
}

func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // the connection is dropped where this fails
}

func (x *Exports) read(ctx context.Context, db querier, account events.UUID) (*Document, error) {
	d := &Document{}
	err := x.onLive(ctx, db, func(q *queries) (bool, error) {
		*d = Document{pageSQL: q.page}
		var r row
		targets := append(r.metaTargets(), &d.user, &d.team, &d.tier, &d.usage, &d.keys, &d.sandboxes)
		err := db.QueryRow(ctx, q.full, [16]byte(account), q.generation).Scan(targets...)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		d.Meta, d.pages = r.meta(), r.pages
		return r.live, err
	})
	return d, err
}

// Ready says whether a live generation can be read.
func (x *Exports) Ready(ctx context.Context) error {
	_, err := x.Meta(ctx, events.UUID{})
	return err
}

// row is what metaColumns give.
type row struct {
	live, heard, erased bool
	user, team, tier    bool
	major, minor        int
	position, tierAt    uint64
	parked, pages       int
	asOf                time.Time
}

func (r *row) metaTargets() []any {
	return append(make([]any, 0, 19), &r.live, &r.major, &r.minor, &r.heard, &r.erased, &r.user, &r.team, &r.tier,
		&r.position, &r.tierAt, &r.parked, &r.pages, &r.asOf)
}

func (r *row) meta() Meta {
	m := Meta{Position: r.position, TierPosition: r.tierAt, Parked: r.parked, AsOf: r.asOf.UTC(), Major: r.major, Minor: r.minor}
	switch {
	case !r.heard:
		m.State = NotHeard
	case r.erased:
		m.State = Erased
	default:
		m.Missing = projections.Missing(r.user, r.team, r.tier)
		m.State = Complete
		if m.Missing != nil {
			m.State = Incomplete
		}
	}
	return m
}
