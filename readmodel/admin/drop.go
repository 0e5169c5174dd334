package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Drop removes a generation with its tables; [accountexport/readmodel.ErrLive] for the
// live one. While an old transaction reads them it tries again, until ctx ends, and in
// between no reader waits for it.
func Drop(ctx context.Context, pool *pgxpool.Pool, number int64) error {
	err := pg.RetryLocked(ctx, func() error {
		return pg.RetryTx(ctx, pool, func(tx pgx.Tx) error { return drop(ctx, tx, number) })
	})
	if err != nil {
		return fmt.Errorf("drop generation %d: %w", number, err)
	}
	return nil
}

func drop(ctx context.Context, tx pgx.Tx, number int64) error {
	if _, err := readmodel.FindGeneration(ctx, tx, number); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '1s'`); err != nil { // for row locks, which no reader takes
		return err
	}
	var state string
	if err := tx.QueryRow(ctx, `SELECT state FROM export.generations WHERE generation = $1 FOR UPDATE`, number).Scan(&state); err != nil {
		return err
	}
	if state == readmodel.StateLive {
		return fmt.Errorf("%w: cut over to another first", readmodel.ErrLive)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM export.generations WHERE generation = $1`, number); err != nil {
		return err
	}
	var tables []string
	err := tx.QueryRow(ctx, `
SELECT coalesce(array_agg(format('%I.%I', n.nspname, c.relname) ORDER BY c.relname), '{}')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'`, readmodel.SchemaName(number)).Scan(&tables)
	if err != nil {
		return err
	}
	// NOWAIT: readers would queue behind a lock that is waited for.
	if len(tables) > 0 {
		if _, err := tx.Exec(ctx, `LOCK TABLE `+strings.Join(tables, ", ")+` IN ACCESS EXCLUSIVE MODE NOWAIT`); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, readmodel.InSchema(number, `DROP SCHEMA IF EXISTS {schema} CASCADE`))
	return err
}
