package readmodel

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
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

// EachPosition calls each with every account of the live generation that was
// heard of and not erased, and its position.
func EachPosition(ctx context.Context, pool *pgxpool.Pool, each func(id events.UUID, position uint64)) error {
	g, err := liveGeneration(ctx, pool)
	if err != nil {
		return err
	}
	rows, err := pool.Query(ctx, inSchema(g.Number, `SELECT account_id, position FROM {schema}.account_export WHERE erased_at IS NULL`))
	if err != nil {
		return fmt.Errorf("read positions of accounts: %w", err)
	}
	var id [16]byte
	var position uint64
	if _, err = pgx.ForEachRow(rows, []any{&id, &position}, func() error {
		each(id, position)
		return nil
	}); err != nil {
		return fmt.Errorf("read positions of accounts: %w", err)
	}
	return nil
}

// SampleAccounts calls each with n accounts at random, or with all where there
// are not so many.
func SampleAccounts(ctx context.Context, pool *pgxpool.Pool, n int, each func(events.UUID) error) error {
	total, err := accountsFrom(ctx, pool, events.UUID{}, true, n+1)
	if err != nil {
		return err
	}
	if len(total) <= n {
		for _, id := range total {
			if err := each(id); err != nil {
				return err
			}
		}
		return nil
	}
	seen := map[events.UUID]bool{}
	for tries := 0; len(seen) < n && tries < 20*n; tries++ {
		var from events.UUID
		if _, err := rand.Read(from[:]); err != nil {
			return err
		}
		ids, err := accountsFrom(ctx, pool, from, true, 1)
		if err != nil {
			return err
		}
		if len(ids) == 0 || seen[ids[0]] {
			continue // past the last one, or drawn already
		}
		seen[ids[0]] = true
		if err := each(ids[0]); err != nil {
			return err
		}
	}
	return nil
}

func accountsFrom(ctx context.Context, pool *pgxpool.Pool, from events.UUID, inclusive bool, limit int) ([]events.UUID, error) {
	g, err := liveGeneration(ctx, pool)
	if err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, inSchema(g.Number, `
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
