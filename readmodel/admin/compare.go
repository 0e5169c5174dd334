package admin

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// Compare compares two generations inside the database, in one snapshot; no
// document leaves it. The layout of stored rows depends on the messages alone,
// so equal accounts have equal rows and pages. Rows are joined by account and
// compared; what lies beside them, pages above all, is compared where the rows'
// digests differ or one of them has none, an account at a time. streamEnd
// asks for the end of the second generation's stream, once the snapshot is taken:
// the first may have read on by then. each is called with every account that is
// missing, new or different.
func Compare(ctx context.Context, pool *pgxpool.Pool, first, second int64, streamEnd func(context.Context) (uint64, error),
	each func(Difference) error) (Comparison, error) {
	c := Comparison{Sections: map[string]int64{}}
	for _, number := range []int64{first, second} {
		g, err := readmodel.FindGeneration(ctx, pool, number)
		if err != nil {
			return c, err
		}
		if err := readmodel.EnsureCountColumns(ctx, pool, g); err != nil {
			return c, err
		}
	}
	o := comparer{Comparison: &c, replace: strings.NewReplacer("{a}", readmodel.SchemaName(first), "{b}", readmodel.SchemaName(second)), sampled: map[string]int{}, each: each}
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		firstHas, secondHas, same, err := horizons(ctx, tx, first, second)
		if err != nil {
			return err
		}
		end, err := streamEnd(ctx)
		if err != nil {
			return err
		}
		if err := o.accounts(ctx, tx, firstHas, secondHas, same, end); err != nil {
			return err
		}
		if o.eachErr != nil {
			return o.eachErr
		}
		return tx.QueryRow(ctx, o.replace.Replace(`
SELECT count(*) FROM {a}.quota_tiers a FULL JOIN {b}.quota_tiers b USING (id)
WHERE b.id IS NULL AND `+settled+` OR a.id IS NULL AND b.position <= $1 OR a.position = b.position AND a.body <> b.body
    OR `+lags), firstHas, secondHas, same, int64(min(end, math.MaxInt64))).Scan(&c.Tiers)
	})
	if err != nil {
		return c, fmt.Errorf("compare generations %d and %d: %w", first, second, err)
	}
	return c, nil
}

// horizons are the positions up to which each generation has everything. On
// different streams they say nothing, and nothing is beyond them.
func horizons(ctx context.Context, tx pgx.Tx, first, second int64) (firstHas, secondHas int64, same bool, err error) {
	same, err = sameStream(ctx, tx, first, second)
	if err != nil || !same {
		return math.MaxInt64, math.MaxInt64, false, err
	}
	err = tx.QueryRow(ctx, `
SELECT coalesce(min(position) FILTER (WHERE generation = $1), 0), coalesce(min(position) FILTER (WHERE generation = $2), 0)
FROM export.checkpoints WHERE generation IN ($1, $2)`, first, second).Scan(&firstHas, &secondHas)
	return firstHas, secondHas, true, err
}

// comparer is a comparison in progress.
type comparer struct {
	*Comparison
	replace *strings.Replacer // puts the generations' schemas in
	sampled map[string]int
	each    func(Difference) error // nil: not called
	eachErr error                  // the first error of each
}

// accounts compares the rows, and what lies beside them where that is needed. The
// statement's parameters, here and in Compare, are $1 what the first generation has,
// $2 what the second has, $3 whether they follow the same stream, and $4 the end of
// the second's.
func (o *comparer) accounts(ctx context.Context, tx pgx.Tx, firstHas, secondHas int64, same bool, end uint64) error {
	// Accounts that are at one position in both are compared, and equal unless the cursor
	// finds something else.
	err := tx.QueryRow(ctx, o.replace.Replace(`
SELECT count(*) FROM {a}.account_export a JOIN {b}.account_export b USING (account_id) WHERE a.position = b.position`)).Scan(&o.Compared)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, o.replace.Replace(`
DECLARE found NO SCROLL CURSOR FOR
SELECT account_id, what, look FROM (
    SELECT account_id, CASE WHEN `+willBeErased+` THEN CASE WHEN `+settled+` THEN 'to erase' ELSE 'pending' END
        WHEN b.account_id IS NULL AND `+settled+` THEN 'missing'
        WHEN `+erasedElsewhere+` THEN 'erased elsewhere'
        WHEN a.account_id IS NULL AND b.position <= $1 THEN 'new'
        WHEN `+lags+` THEN 'position'
        WHEN a.position IS DISTINCT FROM b.position THEN 'pending'
        ELSE `+rowSections+` END AS what,
        a.position = b.position AND (`+sameDigest+`) IS NOT TRUE AND NOT `+willBeErased+` AS look
    FROM {a}.account_export a FULL JOIN {b}.account_export b USING (account_id)) f
WHERE what <> '' OR look`), firstHas, secondHas, same, int64(min(end, math.MaxInt64)))
	if err != nil {
		return err
	}
	for {
		rows, err := tx.Query(ctx, `FETCH 5000 FROM found`)
		if err != nil {
			return err
		}
		var id [16]byte
		var what string
		var compareMore *bool
		toCompare := map[[16]byte]string{}
		n := 0
		if _, err := pgx.ForEachRow(rows, []any{&id, &what, &compareMore}, func() error {
			if n++; compareMore != nil && *compareMore {
				toCompare[id] = what
			} else {
				o.count(id, what)
			}
			return nil
		}); err != nil || n == 0 {
			return err
		}
		if err := o.compareChildren(ctx, tx, toCompare); err != nil {
			return err
		}
	}
}

// compareChildren compares what lies beside the rows of some accounts. Pages are read
// in the order of their keys, side by side, whatever their number.
func (o *comparer) compareChildren(ctx context.Context, tx pgx.Tx, toCompare map[[16]byte]string) error {
	ids := slices.SortedFunc(maps.Keys(toCompare), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	for chunk := range slices.Chunk(ids, rows.AccountsPerStatement) {
		q := &pgx.Batch{}
		q.Queue(pg.PreferIndexes)
		q.Queue(o.replace.Replace(`
SELECT u.id, concat_ws(' ', CASE WHEN p.usage THEN 'quota_usage' END, CASE WHEN p.keys THEN 'api_keys' END,
    CASE WHEN p.sandboxes THEN 'sandboxes' END, CASE WHEN w.differ THEN 'waiting' END, CASE WHEN k.differ THEN 'parked' END)
FROM unnest($1::uuid[]) AS u (id)
CROSS JOIN LATERAL (
    SELECT bool_or(section = 1) AS usage, bool_or(section = 2) AS keys, bool_or(section = 3) AS sandboxes
    FROM (SELECT section, page_key, body FROM {a}.account_export_pages WHERE account_id = u.id) x
    FULL JOIN (SELECT section, page_key, body FROM {b}.account_export_pages WHERE account_id = u.id) y USING (section, page_key)
    WHERE x.body IS DISTINCT FROM y.body) p
CROSS JOIN LATERAL (
    SELECT count(*) > 0 AS differ
    FROM (SELECT entity, entity_id, patch FROM {a}.account_waiting WHERE account_id = u.id) x
    FULL JOIN (SELECT entity, entity_id, patch FROM {b}.account_waiting WHERE account_id = u.id) y USING (entity, entity_id)
    WHERE x.patch IS DISTINCT FROM y.patch) w
CROSS JOIN LATERAL (
    SELECT count(*) > 0 AS differ
    FROM (SELECT position, payload FROM {a}.parked WHERE account_id = u.id) x
    FULL JOIN (SELECT position, payload FROM {b}.parked WHERE account_id = u.id) y USING (position)
    WHERE x.payload IS DISTINCT FROM y.payload) k`), chunk).Query(func(rows pgx.Rows) error {
			var id [16]byte
			var what string
			_, err := pgx.ForEachRow(rows, []any{&id, &what}, func() error {
				toCompare[id] = mergeSections(toCompare[id], what)
				return nil
			})
			return err
		})
		if err := tx.SendBatch(ctx, q).Close(); err != nil {
			return err
		}
	}
	for _, id := range ids {
		o.count(id, toCompare[id])
	}
	return nil
}

// count adds an account to the comparison. Where what is empty, nothing that is stored
// differs.
func (o *comparer) count(id events.UUID, what string) {
	switch what {
	case "":
		return
	case "pending":
		o.Pending++
		return
	case "to erase":
		o.Pending++
		o.ToErase++
		o.ToEraseAccounts = append(o.ToEraseAccounts, id)
		return
	case "erased elsewhere":
		what = "erased"
		o.Compared++
		o.Different++
		o.Sections[what]++
	case "missing":
		o.Missing++
	case "new":
		o.New++
	case "position":
		o.Compared++
		fallthrough
	default:
		o.Different++
		for s := range strings.FieldsSeq(what) {
			o.Sections[s]++
		}
	}
	if o.sampled[what]++; o.sampled[what] <= samplesPerKind {
		o.Sample = append(o.Sample, Difference{id, what})
	}
	if o.each != nil && o.eachErr == nil {
		o.eachErr = o.each(Difference{id, what})
	}
}

// mergeSections joins two lists of sections, in the order in which documents have
// them.
func mergeSections(a, b string) string {
	all := append(strings.Fields(a), strings.Fields(b)...)
	slices.SortFunc(all, func(x, y string) int { return slices.Index(sectionOrder, x) - slices.Index(sectionOrder, y) })
	return strings.Join(slices.Compact(all), " ")
}

var sectionOrder = []string{"user", "team", "quota_usage", "api_keys", "sandboxes", "parked", "waiting", "erased", "messages"}

// samplesPerKind is how many differences of each kind a comparison keeps.
const samplesPerKind = 5
