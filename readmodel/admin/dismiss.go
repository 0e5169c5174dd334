package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// ErrOtherStream means that another stream has gone live than the one of which
// messages were selected: their positions are other messages' now.
var ErrOtherStream = errors.New("another stream has gone live since the messages were chosen")

// dismissalsPerTransaction bounds a transaction, for whose end commits to its partition
// wait.
const dismissalsPerTransaction = 2000

// Dismiss notes that the meaning of parked messages has been published anew: they
// stay parked, with the note, in this generation and in every other one that is
// folded from the stream, and no longer count in
// [accountexport/readmodel/export.Meta]. Those that are dismissed already keep their
// note, unless renote is set; n are those that were not, and were still parked.
//
// A transaction notes some messages of one partition: cut off anywhere, what is noted
// is whole, and a repetition notes the rest. It is safe beside itself, projectors,
// refolds and builders: it locks the checkpoints of the partition, so
// that a message is parked either before, and then it is counted here, or after,
// and then whoever parks it finds the dismissal.
func (c *ParkedSelection) Dismiss(ctx context.Context, pool *pgxpool.Pool, note string, renote bool) (n int, err error) {
	onConflict := `DO NOTHING`
	if renote {
		onConflict = `DO UPDATE SET note = excluded.note`
	}
	n, err = c.changeDismissals(ctx, pool, +1, func(ctx context.Context, tx pgx.Tx, live readmodel.Generation, positions []int64) (pgx.Rows, error) {
		return tx.Query(ctx, readmodel.InSchema(live.Number, `
WITH noted AS (
    INSERT INTO export.dismissals (stream_name, stream_created, position, account_id, note)
    SELECT $1, $2, position, account_id, $4 FROM {schema}.parked WHERE position = ANY($3) ORDER BY position
    ON CONFLICT (stream_name, stream_created, position) `+onConflict+`
    RETURNING position, xmax = 0 AS first)
SELECT position FROM noted WHERE first`), live.Stream.Name, live.Stream.Created, positions, note)
	})
	if err != nil {
		return n, fmt.Errorf("dismiss parked messages: %w", err)
	}
	return n, nil
}

// Undismiss takes dismissals back, with a note that stays on record beside
// theirs: the messages count again, in every generation. n are those that were
// dismissed. It is as safe as [ParkedSelection.Dismiss].
func (c *ParkedSelection) Undismiss(ctx context.Context, pool *pgxpool.Pool, note string) (n int, err error) {
	n, err = c.changeDismissals(ctx, pool, -1, func(ctx context.Context, tx pgx.Tx, live readmodel.Generation, positions []int64) (pgx.Rows, error) {
		return tx.Query(ctx, `
WITH gone AS (
    DELETE FROM export.dismissals WHERE stream_name = $1 AND stream_created = $2 AND position = ANY($3)
    RETURNING stream_name, stream_created, position, account_id, dismissed_at, note)
INSERT INTO export.undismissals (stream_name, stream_created, position, account_id, dismissed_at, dismissal_note, note)
SELECT stream_name, stream_created, position, account_id, dismissed_at, note, $4 FROM gone
RETURNING position`, live.Stream.Name, live.Stream.Created, positions, note)
	})
	if err != nil {
		return n, fmt.Errorf("take back dismissals: %w", err)
	}
	return n, nil
}

// changeDismissals has change write the dismissals of some of the messages, and adds for
// those that it returns to what rows count as dismissed, in every generation that has
// them parked.
func (c *ParkedSelection) changeDismissals(ctx context.Context, pool *pgxpool.Pool, add int,
	change func(ctx context.Context, tx pgx.Tx, live readmodel.Generation, positions []int64) (pgx.Rows, error)) (n int, err error) {
	byPartition := map[int][]int64{}
	for _, m := range c.Messages {
		byPartition[m.Partition] = append(byPartition[m.Partition], int64(m.Position))
	}
	for partition, all := range byPartition {
		for positions := range slices.Chunk(all, dismissalsPerTransaction) {
			var changed []int64
			err := pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
				live, generations, err := c.lockPartition(ctx, tx, partition)
				if err != nil {
					return err
				}
				rows, err := change(ctx, tx, live, positions)
				if err != nil {
					return err
				}
				if changed, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil || len(changed) == 0 {
					return err
				}
				return recountDismissed(ctx, tx, generations, changed, add)
			})
			if pg.Code(err) == pg.LockNotAvailable {
				err = fmt.Errorf("a cut-over, or somebody else's transaction, has held the checkpoints for %v, and the same call goes on where this one was: %w", lockTimeout, err)
			}
			if err != nil {
				return n, err
			}
			n += len(changed)
			for _, position := range changed {
				c.Changed = append(c.Changed, uint64(position))
			}
		}
	}
	return n, nil
}

// lockPartition keeps projectors and builders from parking messages of a partition, in
// any generation of the stream, and returns the live one and all of those.
func (c *ParkedSelection) lockPartition(ctx context.Context, tx pgx.Tx, partition int) (live readmodel.Generation, all []readmodel.Generation, err error) {
	if _, err := tx.Exec(ctx, pg.PreferIndexes); err != nil {
		return live, nil, err
	}
	// Commits queue behind this while it waits.
	if err := limitLockWait(ctx, tx); err != nil {
		return live, nil, err
	}
	// In the order of cut-overs, which lock generations first.
	if _, err := tx.Exec(ctx, `SELECT FROM export.generations ORDER BY generation FOR UPDATE`); err != nil {
		return live, nil, err
	}
	if live, err = readmodel.LiveGeneration(ctx, tx); err != nil {
		return live, nil, err
	}
	if live.Stream.Name != c.Stream.Name || !live.Stream.Created.Equal(c.Stream.Created) {
		return live, nil, ErrOtherStream
	}
	all, err = readmodel.SelectGenerations(ctx, tx, `WHERE stream_name = $1 AND stream_created = $2`, live.Stream.Name, live.Stream.Created)
	if err != nil {
		return live, nil, err
	}
	var repartitioned []int64 // those with another number of partitions have the messages in other partitions
	for _, g := range all {
		if g.Partitions != live.Partitions {
			repartitioned = append(repartitioned, g.Number)
		}
	}
	_, err = tx.Exec(ctx, `
SELECT FROM export.checkpoints WHERE partition = $1 OR generation = ANY($2) ORDER BY generation, partition FOR UPDATE`, partition, repartitioned)
	return live, all, err
}

// recountDismissed adds to what rows count, once for each of the messages.
func recountDismissed(ctx context.Context, tx pgx.Tx, generations []readmodel.Generation, positions []int64, add int) error {
	for _, g := range generations {
		_, err := tx.Exec(ctx, readmodel.InSchema(g.Number, `
UPDATE {schema}.account_export a SET dismissed = a.dismissed + $2 * p.n
FROM (SELECT account_id, count(*)::integer AS n FROM {schema}.parked WHERE position = ANY($1) AND account_id IS NOT NULL GROUP BY account_id) p
WHERE a.account_id = p.account_id`), positions, add)
		if err != nil {
			return fmt.Errorf("generation %d: %w", g.Number, err)
		}
	}
	return nil
}
