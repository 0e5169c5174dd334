package admin

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// AbandonGeneration gives up a generation that is being built: the program that builds
// it is fenced, and begins another one. A generation that is not being built stays as
// it is.
func AbandonGeneration(ctx context.Context, pool *pgxpool.Pool, number int64) error {
	return pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		// A cut-over to it may be in progress.
		if _, err := tx.Exec(ctx, `SELECT FROM export.generations WHERE generation = $1 FOR UPDATE`, number); err != nil {
			return fmt.Errorf("give up generation %d: %w", number, err)
		}
		g, err := readmodel.FindGeneration(ctx, tx, number)
		if err != nil || g.State != readmodel.StateBuilding || g.RollingBack() {
			return err
		}
		if err := readmodel.SetGenerationState(ctx, tx, number, readmodel.StateFailed); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1`, number); err != nil {
			return fmt.Errorf("give up generation %d: %w", number, err)
		}
		return nil
	})
}

// AbandonRollback gives up a roll-back to a generation, which is retired again.
func AbandonRollback(ctx context.Context, pool *pgxpool.Pool, number int64) error {
	return pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		g, err := readmodel.FindGeneration(ctx, tx, number)
		if err != nil || !g.RollingBack() {
			return err
		}
		return readmodel.SetGenerationState(ctx, tx, number, readmodel.StateRetired)
	})
}

const selectRebuildRunning = `
SELECT EXISTS (SELECT FROM pg_locks, (SELECT hashtext('accountexport rebuild')::bigint AS key) k
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint = (k.key >> 32) & 4294967295 AND objid::bigint = k.key & 4294967295)`

// RebuildRunning tells whether any program builds, cuts over or rolls back, by the
// lock that it holds: a generation that is being built by no program was abandoned.
func RebuildRunning(ctx context.Context, db pg.Querier) (atWork bool, err error) {
	err = db.QueryRow(ctx, selectRebuildRunning).Scan(&atWork)
	if err != nil {
		return false, fmt.Errorf("look for a rebuild: %w", err)
	}
	return atWork, nil
}
