package readmodel

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Dismiss notes that the meaning of a parked message has been published anew:
// it stays parked, with the note, in this generation and in every other one
// that is folded from the stream, and no longer counts in [Meta]. Dismissing
// it again replaces the note. [ErrNotFound] where no message is parked at the
// position in the live generation.
//
// It races safely with projectors and builders: it locks the checkpoints of the
// message's partition, so that a builder parks the message either before, and
// then it is counted here, or after, and then it finds the dismissal.
func Dismiss(ctx context.Context, pool *pgxpool.Pool, position uint64, note string) error {
	err := inTransaction(ctx, pool, func(tx pgx.Tx) error {
		// In one order with cut-overs.
		if _, err := tx.Exec(ctx, `SELECT FROM export.generations ORDER BY generation FOR UPDATE`); err != nil {
			return err
		}
		live, err := liveGeneration(ctx, tx)
		if err != nil {
			return err
		}
		var partition int
		var account *[16]byte
		err = tx.QueryRow(ctx, inSchema(live.Number, `SELECT partition, account_id FROM {schema}.parked WHERE position = $1`), int64(position)).
			Scan(&partition, &account)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT FROM export.checkpoints WHERE partition = $1 ORDER BY generation FOR UPDATE`, partition); err != nil {
			return err
		}
		var first bool
		err = tx.QueryRow(ctx, `
INSERT INTO export.dismissals (stream_name, stream_created, position, account_id, note) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (stream_name, stream_created, position) DO UPDATE SET note = excluded.note
RETURNING xmax = 0`, live.Stream.Name, live.Stream.Created, int64(position), account, note).Scan(&first)
		if err != nil || !first || account == nil {
			return err
		}
		all, err := generations(ctx, tx, `WHERE stream_name = $1 AND stream_created = $2`, live.Stream.Name, live.Stream.Created)
		if err != nil {
			return err
		}
		for _, g := range all {
			_, err := tx.Exec(ctx, inSchema(g.Number, `
UPDATE {schema}.account_export SET dismissed = dismissed + 1
WHERE account_id = $1 AND EXISTS (SELECT FROM {schema}.parked WHERE position = $2 AND account_id = $1)`), *account, int64(position))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("dismiss message %d: %w", position, err)
	}
	return nil
}
