package readmodel

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/projections/engine"
)

// checkpointOf is where a partition is. Locked, FOR UPDATE, it keeps the
// partition's projector from committing until the transaction ends.
func checkpointOf(ctx context.Context, db querier, generation int64, partition int, lock string) (engine.Advance, error) {
	at := engine.Advance{Partition: partition}
	err := db.QueryRow(ctx, `
SELECT position, epoch, as_of FROM export.checkpoints WHERE generation = $1 AND partition = $2 `+lock, generation, partition).
		Scan(&at.From, &at.Epoch, &at.AsOf)
	if err != nil {
		return at, fmt.Errorf("the checkpoint of partition %d: %w", partition, err)
	}
	at.To = at.From
	return at, nil
}

// queueFence fences the partition's projector.
func queueFence(q statement, generation int64, partition int) {
	q(`UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1 AND partition = $2`, generation, partition)
}

// execute writes a batch, statement by statement.
func execute(ctx context.Context, tx pgx.Tx, b *engine.Batch) (err error) {
	write(b, func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	})
	return err
}
