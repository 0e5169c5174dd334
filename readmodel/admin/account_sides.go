package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// AccountSide is what one generation holds of an account, where that is not what another
// one holds.
type AccountSide struct {
	Found    bool // it has a row
	Position uint64
	Minor    int // of the projection version that folded it last
	Parked   int // messages
	Waiting  int // entities that events wait for
	Erased   *time.Time
	Sections [6]StoredSection // in the order of [StoredSections]
}

// StoredSections are the sections of a document as they are stored, in its order.
var StoredSections = [6]string{"user", "team", "quota_tier", "quota_usage", "api_keys", "sandboxes"}

// StoredSection is the part of a section that another generation has not, or has otherwise.
type StoredSection struct {
	Parts   [][]byte // JSON objects, with commas between them; of quota_usage, api_keys and sandboxes, oldest first
	Bytes   int64    // of all that differs
	Omitted int64    // of those, what is not in Parts, since it is too long
}

// ReadAccountSides reads what two generations hold of an account, where they differ, in
// one snapshot: nothing that is the same, and of each part of a section and of all its
// pages at most so many bytes.
func ReadAccountSides(ctx context.Context, pool *pgxpool.Pool, first, second int64, account events.UUID, most int) (sides [2]AccountSide, err error) {
	in := strings.NewReplacer("{a}", readmodel.SchemaName(first), "{b}", readmodel.SchemaName(second))
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, pg.PreferIndexes); err != nil {
			return err
		}
		if err := readSideRows(ctx, tx, in, account, most, &sides); err != nil {
			return err
		}
		return readSidePages(ctx, tx, in, account, most, &sides)
	})
	if err != nil {
		return sides, fmt.Errorf("read account %s in generations %d and %d: %w", account, first, second, err)
	}
	return sides, nil
}

// readSideRows reads the rows, and the tiers that they name.
func readSideRows(ctx context.Context, tx pgx.Tx, in *strings.Replacer, account events.UUID, most int, sides *[2]AccountSide) error {
	var columns strings.Builder
	var into []any
	for i, side := range []string{"a", "b"} {
		s := &sides[i]
		fmt.Fprintf(&columns, `%[1]s.account_id IS NOT NULL, coalesce(%[1]s.position, 0), coalesce(%[1]s.version_minor, 0), coalesce(%[1]s.parked, 0),
    coalesce(%[1]s.waiting, 0), %[1]s.erased_at`, side)
		into = append(into, &s.Found, &s.Position, &s.Minor, &s.Parked, &s.Waiting, &s.Erased)
		for j, column := range []string{".user_json", ".team_json", "_tier.body", ".usage_tail", ".keys_tail", ".sandboxes_tail"} {
			s.Sections[j].Parts = make([][]byte, 1)
			fmt.Fprintf(&columns, `,
    CASE WHEN a%[2]s IS DISTINCT FROM b%[2]s AND octet_length(%[1]s%[2]s) <= $2 THEN %[1]s%[2]s END,
    CASE WHEN a%[2]s IS DISTINCT FROM b%[2]s THEN coalesce(octet_length(%[1]s%[2]s), 0) ELSE 0 END`, side, column)
			into = append(into, &s.Sections[j].Parts[0], &s.Sections[j].Bytes)
		}
		if i == 0 {
			columns.WriteString(",\n    ")
		}
	}
	err := tx.QueryRow(ctx, in.Replace(`
SELECT `+columns.String()+`
FROM (VALUES (1)) one
LEFT JOIN (SELECT * FROM {a}.account_export WHERE account_id = $1) a ON true
LEFT JOIN (SELECT * FROM {b}.account_export WHERE account_id = $1) b ON true
LEFT JOIN {a}.quota_tiers a_tier ON a_tier.id = a.quota_tier_id
LEFT JOIN {b}.quota_tiers b_tier ON b_tier.id = b.quota_tier_id`), account, most).Scan(into...)
	for i := range sides {
		for j := range sides[i].Sections {
			s := &sides[i].Sections[j]
			if len(s.Parts[0]) == 0 {
				s.Parts, s.Omitted = nil, s.Bytes
			}
		}
	}
	return err
}

// readSidePages reads the pages of either that the other one has not, or has otherwise,
// before the parts that the rows have.
func readSidePages(ctx context.Context, tx pgx.Tx, in *strings.Replacer, account events.UUID, most int, sides *[2]AccountSide) error {
	rows, err := tx.Query(ctx, in.Replace(`
SELECT section, sum(xn)::bigint, sum(yn)::bigint, coalesce(sum(xn) FILTER (WHERE until > $2), 0)::bigint, coalesce(sum(yn) FILTER (WHERE until > $2), 0)::bigint,
    coalesce(array_agg(x ORDER BY page_key) FILTER (WHERE until <= $2 AND x IS NOT NULL), '{}'),
    coalesce(array_agg(y ORDER BY page_key) FILTER (WHERE until <= $2 AND y IS NOT NULL), '{}')
FROM (SELECT section, page_key, x.body AS x, y.body AS y, coalesce(octet_length(x.body), 0) AS xn, coalesce(octet_length(y.body), 0) AS yn,
        sum(coalesce(octet_length(x.body), 0) + coalesce(octet_length(y.body), 0)) OVER (ORDER BY section, page_key) AS until
    FROM (SELECT section, page_key, body FROM {a}.account_export_pages WHERE account_id = $1) x
    FULL JOIN (SELECT section, page_key, body FROM {b}.account_export_pages WHERE account_id = $1) y USING (section, page_key)
    WHERE x.body IS DISTINCT FROM y.body) p
GROUP BY section`), account, most)
	if err != nil {
		return err
	}
	var section int
	var bodies [2][][]byte
	var sizes, omitted [2]int64
	_, err = pgx.ForEachRow(rows, []any{&section, &sizes[0], &sizes[1], &omitted[0], &omitted[1], &bodies[0], &bodies[1]}, func() error {
		for i := range sides {
			s := &sides[i].Sections[section+2] // 1 is quota_usage
			s.Bytes, s.Omitted = s.Bytes+sizes[i], s.Omitted+omitted[i]
			s.Parts = append(bodies[i], s.Parts...)
			bodies[i] = nil
		}
		return nil
	})
	return err
}
