package readmodel

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
)

var accountTables = []string{"account_export", "account_export_pages", "account_export_items", "account_waiting", "parked"}

// EraseAccount removes an account's rows from every generation that nobody
// projects; the live one and one that is being built remove them by folding
// the erasure. It returns how many rows went.
func EraseAccount(ctx context.Context, pool *pgxpool.Pool, account events.UUID) (removed int64, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		all, err := generations(ctx, tx, `WHERE state IN ('retired', 'failed')`)
		if err != nil {
			return err
		}
		for _, g := range all {
			for _, table := range accountTables {
				tag, err := tx.Exec(ctx, inSchema(g.Number, `DELETE FROM {schema}.`+table+` WHERE account_id = $1`), [16]byte(account))
				if err != nil {
					return fmt.Errorf("erase from generation %d: %w", g.Number, err)
				}
				removed += tag.RowsAffected()
			}
		}
		tag, err := tx.Exec(ctx, `DELETE FROM export.dismissals WHERE account_id = $1`, [16]byte(account))
		if err != nil {
			return fmt.Errorf("erase dismissals: %w", err)
		}
		removed += tag.RowsAffected()
		return nil
	})
	return removed, err
}

// Remains counts what every generation still holds of an account beside its
// tombstones.
func Remains(ctx context.Context, pool *pgxpool.Pool, account events.UUID) (rows int64, err error) {
	all, err := generations(ctx, pool, "")
	if err != nil {
		return 0, err
	}
	for _, g := range all {
		for _, table := range accountTables {
			condition := ""
			if table == "account_export" {
				condition = ` AND (erased_at IS NULL OR coalesce(user_json, team_json, usage_tail, keys_tail, sandboxes_tail) IS NOT NULL)`
			}
			var n int64
			err := pool.QueryRow(ctx, inSchema(g.Number, `SELECT count(*) FROM {schema}.`+table+` WHERE account_id = $1`+condition), [16]byte(account)).Scan(&n)
			if err != nil {
				return 0, fmt.Errorf("look into generation %d: %w", g.Number, err)
			}
			rows += n
		}
	}
	var n int64
	err = pool.QueryRow(ctx, `SELECT count(*) FROM export.dismissals WHERE account_id = $1`, [16]byte(account)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("look into dismissals: %w", err)
	}
	return rows + n, nil
}

// EachStray calls each with every parked message, of any generation, whose
// subject names no account or tier; each tells whether it is to be removed.
func EachStray(ctx context.Context, pool *pgxpool.Pool, remove func(Parked) bool) (removed int64, err error) {
	all, err := generations(ctx, pool, "")
	if err != nil {
		return 0, err
	}
	for _, g := range all {
		rows, err := pool.Query(ctx, inSchema(g.Number, `
SELECT position, subject, type, reason, headers, payload FROM {schema}.parked WHERE account_id IS NULL`))
		if err != nil {
			return removed, fmt.Errorf("look into generation %d: %w", g.Number, err)
		}
		var positions []int64
		var p Parked
		var headers []byte
		_, err = pgx.ForEachRow(rows, []any{&p.Position, &p.Subject, &p.Type, &p.Reason, &headers, &p.Payload}, func() error {
			if p.Headers = string(headers); remove(p) {
				positions = append(positions, int64(p.Position))
			}
			return nil
		})
		if err != nil {
			return removed, fmt.Errorf("look into generation %d: %w", g.Number, err)
		}
		if positions == nil {
			continue
		}
		tag, err := pool.Exec(ctx, inSchema(g.Number, `DELETE FROM {schema}.parked WHERE position = ANY($1)`), positions)
		if err != nil {
			return removed, fmt.Errorf("remove strays from generation %d: %w", g.Number, err)
		}
		removed += tag.RowsAffected()
		_, err = pool.Exec(ctx, `DELETE FROM export.dismissals WHERE stream_name = $1 AND stream_created = $2 AND position = ANY($3)`,
			g.Stream.Name, g.Stream.Created, positions)
		if err != nil {
			return removed, fmt.Errorf("remove dismissals of strays: %w", err)
		}
	}
	return removed, nil
}
