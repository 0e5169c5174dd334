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

// Comparison is how two generations differ. Accounts whose last message one of
// them has yet to read are on their way, and not compared: the second one only
// while the stream can still bring it. An account whose position would go back,
// or that would be missing, is a difference on any stream; otherwise, on different
// streams, only accounts at equal positions are compared. One that is erased in
// the first alone, and on the ledger, is about to be erased in the second as well.
// One that is erased in the second alone is a difference on another stream: who
// erased it there?
type Comparison struct {
	Compared        int64            // accounts that both have as far as they go
	Pending         int64            // accounts on their way
	ToErase         int64            // those of them that are erased in the first alone: made anew where the stream lacks the erasure
	ToEraseAccounts []events.UUID    // which they are; where the stream holds the erasure, they are a difference
	Missing         int64            // accounts of the first that the second lacks
	New             int64            // accounts of the second that the first lacks
	Different       int64            // accounts compared that differ
	Sections        map[string]int64 // differing accounts, by section
	Tiers           int64            // tier definitions that differ, or that one of them lacks, although it has come as far
	Sample          []Difference     // some of those that are missing, new or different; all are told to each
}

// Difference is one account that is not the same in both.
type Difference struct {
	Account events.UUID
	What    string // missing, new, or the sections
}

// Impact says what making the second generation live instead of the first takes
// from people; empty where it takes nothing.
func (c Comparison) Impact() string {
	var out []string
	if c.Missing > 0 {
		out = append(out, fmt.Sprintf("%d of %d accounts will answer 404", c.Missing, c.Missing+c.Compared+c.Pending))
	}
	if n := c.Sections["position"]; n > 0 {
		out = append(out, fmt.Sprintf("%d will go back", n))
	}
	if n := c.Sections["erased"]; n > 0 {
		out = append(out, fmt.Sprintf("%d are erased in one of the two alone", n))
	}
	return strings.Join(out, ", ")
}

// ExplainedByVersion tells whether all that differs may come of another projection version:
// that makes no account go back, be missing, or be erased or not.
func (c Comparison) ExplainedByVersion() bool {
	return c.Missing == 0 && c.Sections["position"] == 0 && c.Sections["erased"] == 0
}

// Equal tells whether nothing was found that needs an explanation.
func (c Comparison) Equal() bool {
	return c.Missing == 0 && c.New == 0 && c.Different == 0 && c.Tiers == 0
}

// rowSections are the sections of which the row itself tells that they differ.
const rowSections = `concat_ws(' ',
    CASE WHEN a.user_json IS DISTINCT FROM b.user_json THEN 'user' END,
    CASE WHEN a.team_json IS DISTINCT FROM b.team_json OR a.quota_tier_id IS DISTINCT FROM b.quota_tier_id THEN 'team' END,
    CASE WHEN a.usage_tail IS DISTINCT FROM b.usage_tail OR a.usage_pages <> b.usage_pages OR a.usage_low <> b.usage_low THEN 'quota_usage' END,
    CASE WHEN a.keys_tail IS DISTINCT FROM b.keys_tail OR a.key_pages <> b.key_pages THEN 'api_keys' END,
    CASE WHEN a.sandboxes_tail IS DISTINCT FROM b.sandboxes_tail OR a.sandbox_pages <> b.sandbox_pages THEN 'sandboxes' END,
    CASE WHEN a.parked <> b.parked THEN 'parked' END,
    CASE WHEN a.waiting <> b.waiting THEN 'waiting' END,
    CASE WHEN a.erased_at IS DISTINCT FROM b.erased_at THEN 'erased' END,
    CASE WHEN a.counted_at = a.position AND b.counted_at = b.position AND a.messages <> b.messages THEN 'messages' END)`

// sameDigest holds where both rows say what is stored of them, and it is the
// same.
const sameDigest = `a.counted_at = a.position AND b.counted_at = b.position
    AND a.digest_high = b.digest_high AND a.digest_low = b.digest_low`

// settled is where the second generation has all that it can have of what is
// behind a row of the first: it has come as far, or the stream ends before; see
// [horizons].
const settled = `(a.position <= $2 OR a.position > $4)`

// lags is where the second has less than the first although that is settled, or
// the first less than the second of the same stream, although it has come as far.
const lags = `($3 AND a.position < b.position AND b.position <= $1 OR b.position < a.position AND ` + settled + `)`

// againErased is an account that is erased in the first alone, and will be in the
// second.
const againErased = `(a.erased_at IS NOT NULL AND b.erased_at IS NULL
    AND EXISTS (SELECT FROM export.erasures e WHERE e.account_id = a.account_id))`

// erasedElsewhere is one that is served and that another stream has erased.
const erasedElsewhere = `(NOT $3 AND a.erased_at IS NULL AND a.account_id IS NOT NULL AND b.erased_at IS NOT NULL AND a.position <> b.position)`

// Compare compares two generations inside the database, in one snapshot; no
// document leaves it. The layout of stored rows depends on the messages alone,
// so equal accounts have equal rows and pages. Rows are joined by account and
// compared; what lies beside them, pages above all, is looked into where the
// rows' digests differ or one of them has none, an account at a time. streamEnd
// asks for the end of the second generation's stream, once the snapshot is taken:
// the first may have read on by then. each is told of every account that is
// missing, new or different, again where the snapshot has to be taken once more.
func Compare(ctx context.Context, pool *pgxpool.Pool, first, second int64, streamEnd func(context.Context) (uint64, error),
	each func(Difference) error) (Comparison, error) {
	c := Comparison{Sections: map[string]int64{}}
	for _, number := range []int64{first, second} {
		g, err := readmodel.FindGeneration(ctx, pool, number)
		if err != nil {
			return c, err
		}
		if g.Format < readmodel.FormatCounted {
			if err := readmodel.AddCountColumns(ctx, pool, number); err != nil {
				return c, err
			}
		}
	}
	o := comparing{Comparison: &c, replace: strings.NewReplacer("{a}", readmodel.SchemaName(first), "{b}", readmodel.SchemaName(second)), sampled: map[string]int{}, each: each}
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		behind, ahead, same, err := horizons(ctx, tx, first, second)
		if err != nil {
			return err
		}
		end, err := streamEnd(ctx)
		if err != nil {
			return err
		}
		if err := o.accounts(ctx, tx, behind, ahead, same, end); err != nil {
			return err
		}
		if o.failed != nil {
			return o.failed
		}
		return tx.QueryRow(ctx, o.replace.Replace(`
SELECT count(*) FROM {a}.quota_tiers a FULL JOIN {b}.quota_tiers b USING (id)
WHERE b.id IS NULL AND `+settled+` OR a.id IS NULL AND b.position <= $1 OR a.position = b.position AND a.body <> b.body
    OR `+lags), behind, ahead, same, int64(min(end, math.MaxInt64))).Scan(&c.Tiers)
	})
	if err != nil {
		return c, fmt.Errorf("compare generations %d and %d: %w", first, second, err)
	}
	return c, nil
}

// horizons are the positions up to which each generation has everything; on
// different streams they say nothing, and nothing is beyond them.
func horizons(ctx context.Context, tx pgx.Tx, first, second int64) (of, other int64, same bool, err error) {
	same, err = sameStream(ctx, tx, first, second)
	if err != nil || !same {
		return math.MaxInt64, math.MaxInt64, false, err
	}
	err = tx.QueryRow(ctx, `
SELECT coalesce(min(position) FILTER (WHERE generation = $1), 0), coalesce(min(position) FILTER (WHERE generation = $2), 0)
FROM export.checkpoints WHERE generation IN ($1, $2)`, first, second).Scan(&of, &other)
	return of, other, true, err
}

// comparing is a comparison under way.
type comparing struct {
	*Comparison
	replace *strings.Replacer
	sampled map[string]int
	each    func(Difference) error // nil: nobody
	failed  error                  // of each
}

// accounts compares the rows, and what lies beside them where that is needed.
func (o *comparing) accounts(ctx context.Context, tx pgx.Tx, behind, ahead int64, same bool, end uint64) error {
	// All that are at one position in both: those that are not found to be
	// anything else are equal.
	err := tx.QueryRow(ctx, o.replace.Replace(`
SELECT count(*) FROM {a}.account_export a JOIN {b}.account_export b USING (account_id) WHERE a.position = b.position`)).Scan(&o.Compared)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, o.replace.Replace(`
DECLARE found NO SCROLL CURSOR FOR
SELECT account_id, what, look FROM (
    SELECT account_id, CASE WHEN `+againErased+` THEN CASE WHEN `+settled+` THEN 'again' ELSE 'moving' END
        WHEN b.account_id IS NULL AND `+settled+` THEN 'missing'
        WHEN `+erasedElsewhere+` THEN 'gone'
        WHEN a.account_id IS NULL AND b.position <= $1 THEN 'new'
        WHEN `+lags+` THEN 'position'
        WHEN a.position IS DISTINCT FROM b.position THEN 'moving'
        ELSE `+rowSections+` END AS what,
        a.position = b.position AND (`+sameDigest+`) IS NOT TRUE AND NOT `+againErased+` AS look
    FROM {a}.account_export a FULL JOIN {b}.account_export b USING (account_id)) f
WHERE what <> '' OR look`), behind, ahead, same, int64(min(end, math.MaxInt64)))
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
		var look *bool
		looks := map[[16]byte]string{}
		n := 0
		if _, err := pgx.ForEachRow(rows, []any{&id, &what, &look}, func() error {
			if n++; look != nil && *look {
				looks[id] = what
			} else {
				o.count(id, what)
			}
			return nil
		}); err != nil || n == 0 {
			return err
		}
		if err := o.compareChildren(ctx, tx, looks); err != nil {
			return err
		}
	}
}

// compareChildren looks at what lies beside the rows of some accounts. Pages are gone
// through in the order of their key, side by side, whatever their number.
func (o *comparing) compareChildren(ctx context.Context, tx pgx.Tx, looks map[[16]byte]string) error {
	ids := slices.SortedFunc(maps.Keys(looks), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	for some := range slices.Chunk(ids, rows.AccountsPerStatement) {
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
    WHERE x.payload IS DISTINCT FROM y.payload) k`), some).Query(func(rows pgx.Rows) error {
			var id [16]byte
			var what string
			_, err := pgx.ForEachRow(rows, []any{&id, &what}, func() error {
				looks[id] = inOrder(looks[id], what)
				return nil
			})
			return err
		})
		if err := tx.SendBatch(ctx, q).Close(); err != nil {
			return err
		}
	}
	for _, id := range ids {
		o.count(id, looks[id])
	}
	return nil
}

// inOrder joins two lists of sections, in the order in which documents have
// them.
func inOrder(a, b string) string {
	all := append(strings.Fields(a), strings.Fields(b)...)
	slices.SortFunc(all, func(x, y string) int { return slices.Index(comparedParts, x) - slices.Index(comparedParts, y) })
	return strings.Join(slices.Compact(all), " ")
}

var comparedParts = []string{"user", "team", "quota_usage", "api_keys", "sandboxes", "parked", "waiting", "erased", "messages"}

// samples are so many at most of each kind.
const samples = 5

// count takes an account in. Where nothing is named, nothing that is stored
// differs.
func (o *comparing) count(id events.UUID, what string) {
	switch what {
	case "":
		return
	case "moving":
		o.Pending++
		return
	case "again":
		o.Pending++
		o.ToErase++
		o.ToEraseAccounts = append(o.ToEraseAccounts, id)
		return
	case "gone":
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
	if o.sampled[what]++; o.sampled[what] <= samples {
		o.Sample = append(o.Sample, Difference{id, what})
	}
	if o.each != nil && o.failed == nil {
		o.failed = o.each(Difference{id, what})
	}
}
