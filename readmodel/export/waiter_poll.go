package export

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// poll looks which positions are reached.
func (w *Waiter) poll(ctx context.Context) {
	w.mu.Lock()
	waits := slices.Collect(maps.Keys(w.waiting))
	w.mu.Unlock()
	if len(waits) == 0 {
		return
	}
	running := ctx
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	checkpoints, err := w.readCheckpoints(ctx, waits)
	for attempt := 1; pg.IsSerializationFailure(err) && attempt < pg.MaxAttempts; attempt++ { // a standby ends reads that conflict with what it replays
		checkpoints, err = w.readCheckpoints(ctx, waits)
	}
	if err != nil && running.Err() != nil {
		err = errShuttingDown
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, wait := range waits {
		if err == nil {
			wait.checkpoint = checkpoints[i]
		}
		if !wait.wasPolled {
			wait.wasPolled, wait.err = true, err
			if err == nil && checkpoints[i] >= wait.position {
				close(wait.reached)
			}
			close(wait.polled)
			continue
		}
		if err == nil && checkpoints[i] >= wait.position && wait.err == nil {
			select {
			case <-wait.reached:
			default:
				close(wait.reached)
			}
		}
	}
}

// readCheckpoints are the checkpoints that the waits are for, from one snapshot.
func (w *Waiter) readCheckpoints(ctx context.Context, waits []*pendingWait) ([]uint64, error) {
	began := time.Now()
	conn, err := w.pool.Acquire(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("read checkpoints: %w", w.liveness.timeoutError(began))
	case err != nil:
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	defer conn.Release()
	var seen checkpointView
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		seen, err = queryCheckpoints(ctx, tx, waits)
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("read checkpoints: %w", ErrTimeout)
	case err != nil:
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	w.mu.Lock()
	w.standby = seen.standby
	w.mu.Unlock()
	w.liveness.answered()
	lowest := uint64(0)
	if len(seen.positions) > 0 {
		lowest = slices.Min(slices.Collect(maps.Values(seen.positions)))
	}
	at := make([]uint64, len(waits))
	for i, wait := range waits {
		at[i] = lowest
		if p, known := seen.partitions[wait.account]; known {
			at[i] = seen.positions[p]
		}
	}
	return at, nil
}

// checkpointView is what one look sees of the live generation.
type checkpointView struct {
	standby    bool
	positions  map[int32]uint64      // of every partition
	partitions map[events.UUID]int32 // of the accounts that were heard of
}

// queryCheckpoints looks up every checkpoint, and the partitions of the accounts that are
// waited for.
func queryCheckpoints(ctx context.Context, tx pgx.Tx, waits []*pendingWait) (seen checkpointView, err error) {
	g, err := readmodel.LiveGeneration(ctx, tx)
	if err != nil {
		return seen, err
	}
	rows, err := tx.Query(ctx, `SELECT partition, position, pg_is_in_recovery() FROM export.checkpoints WHERE generation = $1`, g.Number)
	if err != nil {
		return seen, err
	}
	var partition int32
	var position uint64
	seen.positions, seen.partitions = map[int32]uint64{}, map[events.UUID]int32{}
	if _, err = pgx.ForEachRow(rows, []any{&partition, &position, &seen.standby}, func() error {
		seen.positions[partition] = position
		return nil
	}); err != nil {
		return seen, err
	}
	ids := make([][16]byte, len(waits))
	for i, wait := range waits {
		ids[i] = wait.account
	}
	if rows, err = tx.Query(ctx, readmodel.InSchema(g.Number, `
SELECT account_id, partition FROM {schema}.account_export WHERE account_id = ANY($1)`), ids); err != nil {
		return seen, err
	}
	var id [16]byte
	_, err = pgx.ForEachRow(rows, []any{&id, &partition}, func() error {
		seen.partitions[id] = partition
		return nil
	})
	return seen, err
}
