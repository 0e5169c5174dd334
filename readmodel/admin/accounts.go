package admin

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
)

// accountsAtOnce is how many ids are read in one statement.
const accountsAtOnce = 1000

// EachAccount calls each with every account of the live generation that was
// heard of, in the order of their ids.
func EachAccount(ctx context.Context, pool *pgxpool.Pool, each func(events.UUID) error) error {
	after, first := events.UUID{}, true
	for {
		ids, err := accountsFrom(ctx, pool, after, first, accountsAtOnce)
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
	ids, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (id events.UUID, err error) {
		err = r.Scan((*[16]byte)(&id))
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return ids, nil
}
