package admin

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// AbandonUnfenceable gives up generations that are being built and that an erasure
// cannot fence: those that no program builds, and those that would find messages gone
// which they have yet to read, since the stream now begins at first. A roll-back that
// was cut off is ended. The next rebuild starts anew. It returns the generations that
// it gave up.
func AbandonUnfenceable(ctx context.Context, pool *pgxpool.Pool, first uint64) (failed []int64, err error) {
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		failed = nil
		if err := limitLockWait(ctx, tx); err != nil {
			return err
		}
		all, err := readmodel.SelectGenerations(ctx, tx, `WHERE state = 'building'`)
		if err != nil || len(all) == 0 {
			return err
		}
		var abandoned bool
		err = tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtext('accountexport rebuild'))`).Scan(&abandoned)
		if err != nil {
			return err
		}
		for _, g := range all {
			state, err := stateAfterErasure(ctx, tx, g, abandoned, first)
			if err != nil {
				return err
			}
			if state == "" {
				continue
			}
			if err := readmodel.SetGenerationState(ctx, tx, g.Number, state); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1`, g.Number); err != nil {
				return err
			}
			if state == readmodel.StateFailed {
				failed = append(failed, g.Number)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for abandoned generations: %w", err)
	}
	return failed, nil
}

// stateAfterErasure is the state that a building generation is to have after an
// erasure; empty where it goes on.
func stateAfterErasure(ctx context.Context, tx pgx.Tx, g readmodel.Generation, abandoned bool, first uint64) (state string, err error) {
	// A cut-over may have changed its state meanwhile.
	err = tx.QueryRow(ctx, `SELECT state FROM export.generations WHERE generation = $1 FOR UPDATE`, g.Number).Scan(&state)
	if err != nil || state != readmodel.StateBuilding {
		return "", err
	}
	if g.RollingBack() {
		if abandoned {
			return readmodel.StateRetired, nil
		}
		return "", nil
	}
	var unread bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM export.checkpoints WHERE generation = $1 AND position > 0 AND position + 1 < $2)`,
		g.Number, int64(first)).Scan(&unread)
	if err != nil || !abandoned && !unread {
		return "", err
	}
	return readmodel.StateFailed, nil
}
