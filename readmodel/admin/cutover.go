package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// ErrPositionRegression means that positions would go back by a cut-over.
var ErrPositionRegression = errors.New("positions would go back")

// Cutover makes generation to live instead of from. It locks the old one's
// checkpoints, so that its projector waits, and no reader does; has catchUp bring
// the new one to the end of the stream; and then, in the same transaction,
// changes the two generations' rows, provided that no position goes back on
// one stream, or that accept is set. The accounts that are erased in the new one are
// on the ledger then. The old generation's projector finds with its next commit that
// it is no longer live, and moves to the new one. After an error nothing has changed,
// but that the new generation may have come further.
func Cutover(ctx context.Context, pool *pgxpool.Pool, from, to int64, accept bool, catchUp func(ctx context.Context) error) error {
	err := pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		var states int
		err := tx.QueryRow(ctx, `
SELECT count(*) FROM (SELECT FROM export.generations
    WHERE (generation = $1 AND state = 'live') OR (generation = $2 AND state = 'building') ORDER BY generation FOR UPDATE) g`, from, to).Scan(&states)
		if err != nil {
			return err
		}
		if states != 2 {
			return fmt.Errorf("%w: generation %d is not live, or %d is not ready", engine.ErrRefused, from, to)
		}
		// A pause waits for these rows, so it begins either before this or after it.
		if err := readmodel.CheckPaused(ctx, tx); err != nil {
			return err
		}
		old, err := checkpointsForUpdate(ctx, tx, from)
		if err != nil {
			return err
		}
		if err := catchUp(ctx); err != nil {
			return fmt.Errorf("bring generation %d to the end: %w", to, err)
		}
		caughtUp, err := checkpointsForUpdate(ctx, tx, to)
		if err != nil {
			return err
		}
		same, err := sameStream(ctx, tx, from, to)
		if err != nil {
			return err
		}
		regresses := !same // on another stream positions have another meaning
		if len(old) != len(caughtUp) {
			// The number of partitions is another one: the least advanced partition has
			// to be where the furthest of the old ones is.
			old = map[int]uint64{leastAdvanced(caughtUp): slices.Max(slices.Collect(maps.Values(old)))}
		}
		for partition, position := range old {
			if caughtUp[partition] >= position {
				continue
			}
			if regresses = true; same && !accept {
				return fmt.Errorf("%w: %w: partition %d of generation %d is at %d, and of the live one at %d: readers would go back",
					engine.ErrRefused, ErrPositionRegression, partition, to, caughtUp[partition], position)
			}
		}
		if err := enterLedger(ctx, tx, to); err != nil {
			return err
		}
		if err := inheritHistory(ctx, tx, from, to, regresses); err != nil {
			return err
		}
		if err := readmodel.SetGenerationState(ctx, tx, from, readmodel.StateRetired); err != nil {
			return err
		}
		return readmodel.SetGenerationState(ctx, tx, to, readmodel.StateLive)
	})
	if err != nil {
		return fmt.Errorf("cut over from generation %d to %d: %w", from, to, err)
	}
	readmodel.NotifyBestEffort(ctx, pool, readmodel.CheckpointsChannel)
	return nil
}

// leastAdvanced is the partition with the lowest position.
func leastAdvanced(positions map[int]uint64) (partition int) {
	for p, position := range positions {
		if position < positions[partition] {
			partition = p
		}
	}
	return partition
}

// inheritHistory takes over which meaning positions have; another one where they go
// back.
func inheritHistory(ctx context.Context, tx pgx.Tx, from, to int64, regresses bool) error {
	_, err := tx.Exec(ctx, `
UPDATE export.generations SET history = f.history + CASE WHEN $3 THEN 1 ELSE 0 END
FROM (SELECT history FROM export.generations WHERE generation = $1) f WHERE generation = $2`, from, to, regresses)
	return err
}

func sameStream(ctx context.Context, tx pgx.Tx, a, b int64) (same bool, err error) {
	err = tx.QueryRow(ctx, `
SELECT count(DISTINCT (stream_name, stream_created)) = 1 FROM export.generations WHERE generation IN ($1, $2)`, a, b).Scan(&same)
	return same, err
}

func checkpointsForUpdate(ctx context.Context, tx pgx.Tx, generation int64) (map[int]uint64, error) {
	rows, err := tx.Query(ctx, `
SELECT partition, position FROM export.checkpoints WHERE generation = $1 ORDER BY partition FOR UPDATE`, generation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	out := map[int]uint64{}
	var partition int
	var position uint64
	_, err = pgx.ForEachRow(rows, []any{&partition, &position}, func() error {
		out[partition] = position
		return nil
	})
	return out, err
}
