package admin

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
)

// accountsPerPage is how many ids are read in one statement.
const accountsPerPage = 1000

// EachAccount calls each with every account of the live generation that was
// heard of, in the order of their ids.
func EachAccount(ctx context.Context, pool *pgxpool.Pool, each func(events.UUID) error) error {
	after, first := events.UUID{}, true
	for {
		ids, err := accountsFrom(ctx, pool, after, first, accountsPerPage)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := each(id); err != nil {
				return err
			}
		}
		after, first = ids[len(ids)-1], false
	}
}

func accountsFrom(ctx context.Context, pool *pgxpool.Pool, from events.UUID, inclusive bool, limit int) ([]events.UUID, error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, readmodel.InSchema(g.Number, `
SELECT account_id FROM {schema}.account_export
WHERE account_id > $1 OR (account_id = $1 AND $2) ORDER BY account_id LIMIT $3`), [16]byte(from), inclusive, limit)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	ids, err := pgx.CollectRows(rows, scanAccountID)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return ids, nil
}

// RandomAccount draws an account that the live generation has a row of. Blocks
// of the table are drawn, so neither the ids nor their number matter. False
// where many draws in a row found none.
func RandomAccount(ctx context.Context, pool *pgxpool.Pool) (id events.UUID, found bool, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return id, false, err
	}
	var blocks int64
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, `
SELECT pg_relation_size('{schema}.account_export') / current_setting('block_size')::bigint`)).Scan(&blocks)
	if err != nil {
		return id, false, fmt.Errorf("draw an account: %w", err)
	}
	const draws = 50 // a block may have no row any more
	for range draws {
		if blocks == 0 {
			return id, false, nil
		}
		block := rand.Int64N(blocks)
		rows, err := pool.Query(ctx, readmodel.InSchema(g.Number, `SELECT account_id FROM {schema}.account_export WHERE ctid >= $1::tid AND ctid < $2::tid`),
			fmt.Sprintf("(%d,0)", block), fmt.Sprintf("(%d,0)", block+1))
		if err != nil {
			return id, false, fmt.Errorf("draw an account: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
		if err != nil {
			return id, false, fmt.Errorf("draw an account: %w", err)
		}
		if len(ids) > 0 {
			return ids[rand.IntN(len(ids))], true, nil
		}
	}
	return id, false, nil
}
