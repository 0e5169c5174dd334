package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Pause pauses projecting: once it has returned, no checkpoint of any
// generation moves, whichever program would move it, until [Resume]. It waits for
// the transactions in progress. Where projecting is paused already, since when and by
// whom stays, and so does the note unless there is another one. After an error nothing
// has changed.
func Pause(ctx context.Context, pool *pgxpool.Pool, by, note string) (p engine.Pause, already bool, err error) {
	began := time.Now()
	for {
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			p, already, err = pauseTx(ctx, tx, by, note)
			return err
		})
		// The transaction that this waits for may be ended by the replica that succeeds
		// its own, or be in a deadlock with this one.
		if pg.Code(err) != pg.LockNotAvailable && !pg.IsSerializationFailure(err) {
			break
		}
		if time.Since(began) > lockTimeout {
			err = fmt.Errorf("somebody's transaction, or a cut-over, has held the checkpoints for %v; run the same command again: %w",
				lockTimeout, err)
			break
		}
	}
	if err != nil {
		return p, false, fmt.Errorf("pause, nothing was changed: %w", readmodel.ExplainOutdatedSchema(err))
	}
	readmodel.NotifyBestEffort(ctx, pool, readmodel.MembersChannel)
	return p, already, nil
}

func pauseTx(ctx context.Context, tx pgx.Tx, by, note string) (p engine.Pause, already bool, err error) {
	if err := limitLockWait(ctx, tx); err != nil {
		return p, false, err
	}
	// Generations before checkpoints, as cut-overs lock them.
	if _, err := tx.Exec(ctx, `SELECT FROM export.generations ORDER BY generation FOR SHARE`); err != nil {
		return p, false, err
	}
	err = tx.QueryRow(ctx, `
INSERT INTO export.pause AS p (paused_by, note) VALUES ($1, $2)
ON CONFLICT (only_one) DO UPDATE SET note = coalesce(nullif(excluded.note, ''), p.note)
RETURNING paused_at, paused_by, note, xmax <> 0`, by, note).Scan(&p.Since, &p.By, &p.Note, &already)
	if err != nil {
		return p, false, err
	}
	// Transactions that have moved a checkpoint hold its row until they end. Later ones
	// find the pause.
	if _, err := tx.Exec(ctx, `SELECT FROM export.checkpoints ORDER BY generation, partition FOR UPDATE`); err != nil {
		return p, false, err
	}
	return p, already, nil
}

// Resume ends the pause, and returns it; nil where there was none.
func Resume(ctx context.Context, pool *pgxpool.Pool) (ended *engine.Pause, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		ended = &engine.Pause{}
		err := tx.QueryRow(ctx, `DELETE FROM export.pause RETURNING paused_at, paused_by, note`).Scan(&ended.Since, &ended.By, &ended.Note)
		if errors.Is(err, pgx.ErrNoRows) {
			ended = nil
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("resume: %w", readmodel.ExplainOutdatedSchema(err))
	}
	readmodel.NotifyBestEffort(ctx, pool, readmodel.MembersChannel)
	return ended, nil
}
