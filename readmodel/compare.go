package readmodel

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
)

// Comparison is how two generations differ. Accounts whose last message one of
// them has yet to read are on their way, and not compared. On different streams
// only accounts at equal positions are.
type Comparison struct {
	Compared  int64            // accounts that both have as far as they go
	Moving    int64            // accounts on their way
	Missing   int64            // accounts of the first that the second lacks
	New       int64            // accounts of the second that the first lacks
	Different int64            // accounts compared that differ
	Sections  map[string]int64 // differing accounts, by section
	Tiers     int64            // tier definitions that differ, or that one of them lacks, although it has come as far
	Sample    []Difference     // some of those that are missing, new or different
}

// Difference is one account that is not the same in both.
type Difference struct {
	Account events.UUID
	What    string // missing, new, or the sections
}

// Equal tells whether nothing was found that needs an explanation.
func (c Comparison) Equal() bool {
	return c.Missing == 0 && c.New == 0 && c.Different == 0 && c.Tiers == 0
}

var comparedColumns = []struct{ section, condition string }{
	{"user", "a.user_json IS DISTINCT FROM b.user_json"},
	{"team", "a.team_json IS DISTINCT FROM b.team_json OR a.quota_tier_id IS DISTINCT FROM b.quota_tier_id"},
	{"quota_usage", "a.usage_tail IS DISTINCT FROM b.usage_tail OR a.usage_pages <> b.usage_pages OR a.usage_low <> b.usage_low OR a.account_id IN (SELECT account_id FROM pages WHERE section = 1)"},
	{"api_keys", "a.keys_tail IS DISTINCT FROM b.keys_tail OR a.key_pages <> b.key_pages OR a.account_id IN (SELECT account_id FROM pages WHERE section = 2)"},
	{"sandboxes", "a.sandboxes_tail IS DISTINCT FROM b.sandboxes_tail OR a.sandbox_pages <> b.sandbox_pages OR a.account_id IN (SELECT account_id FROM pages WHERE section = 3)"},
	{"parked", "a.parked <> b.parked"},
	{"waiting", "a.waiting <> b.waiting"},
	{"erased", "a.erased_at IS DISTINCT FROM b.erased_at"},
}

// lags is where what one has is behind what the other has of the same stream,
// although the first has come as far; see [horizons].
const lags = `$3 AND (a.position < b.position AND b.position <= $1 OR b.position < a.position AND a.position <= $2)`

// Compare compares two generations inside the database, in one snapshot; no
// document leaves it. The layout of stored rows depends on the messages alone,
// so equal accounts have equal rows and pages.
func Compare(ctx context.Context, pool *pgxpool.Pool, first, second int64) (Comparison, error) {
	c := Comparison{Sections: map[string]int64{}}
	replace := strings.NewReplacer("{a}", schema(first), "{b}", schema(second))
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var labels []string
		for _, col := range comparedColumns {
			labels = append(labels, fmt.Sprintf("CASE WHEN %s THEN '%s' END", col.condition, col.section))
		}
		behind, ahead, same, err := horizons(ctx, tx, first, second)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, replace.Replace(`
WITH pages AS (
    SELECT account_id, section FROM {a}.account_export_pages pa
    FULL JOIN {b}.account_export_pages pb USING (account_id, section, page_key)
    WHERE pa.body IS DISTINCT FROM pb.body),
found AS (
    SELECT account_id, CASE WHEN b.account_id IS NULL AND a.position <= $2 THEN 'missing'
        WHEN a.account_id IS NULL AND b.position <= $1 THEN 'new'
        WHEN `+lags+` THEN 'position'
        WHEN a.position IS DISTINCT FROM b.position THEN 'moving'
        ELSE coalesce(nullif(concat_ws(' ', `+strings.Join(labels, ", ")+`), ''), 'equal') END AS what
    FROM {a}.account_export a FULL JOIN {b}.account_export b USING (account_id)),
sampled AS (
    SELECT what, account_id, row_number() OVER (PARTITION BY what ORDER BY account_id) AS n FROM found)
SELECT f.what, count(*), (SELECT array_agg(account_id ORDER BY account_id) FROM sampled s WHERE s.what = f.what AND s.n <= 5)
FROM found f GROUP BY f.what ORDER BY f.what`), behind, ahead, same)
		if err != nil {
			return err
		}
		var what string
		var n int64
		var sample [][16]byte
		if _, err := pgx.ForEachRow(rows, []any{&what, &n, &sample}, func() error {
			c.count(what, n, sample)
			return nil
		}); err != nil {
			return err
		}
		return tx.QueryRow(ctx, replace.Replace(`
SELECT count(*) FROM {a}.quota_tiers a FULL JOIN {b}.quota_tiers b USING (id)
WHERE b.id IS NULL AND a.position <= $2 OR a.id IS NULL AND b.position <= $1 OR a.position = b.position AND a.body <> b.body
    OR `+lags), behind, ahead, same).Scan(&c.Tiers)
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

func (c *Comparison) count(what string, n int64, sample [][16]byte) {
	switch what {
	case "equal":
		c.Compared += n
		return
	case "moving":
		c.Moving += n
		return
	case "missing":
		c.Missing += n
	case "new":
		c.New += n
	default:
		c.Compared += n
		c.Different += n
		for s := range strings.FieldsSeq(what) {
			c.Sections[s] += n
		}
	}
	for _, id := range sample {
		c.Sample = append(c.Sample, Difference{events.UUID(id), what})
	}
}
