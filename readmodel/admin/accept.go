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
	"accountexport/readmodel/internal/rows"
)

// ErrHistoryGone means that messages which the live generation never saw, or
// those that it was folded from, are no longer in the stream, and that this was
// accepted: its documents cannot be folded again.
var ErrHistoryGone = errors.New("the stream no longer holds what the live generation was folded from")

// AcceptStream makes a generation go on with a stream of another identity. The
// caller has made sure that it holds the same messages at the same positions;
// last are the times that the last messages of partitions have in it. What was
// dismissed stays so.
func AcceptStream(ctx context.Context, pool *pgxpool.Pool, g readmodel.Generation, stream engine.StreamInfo, last map[int]time.Time) error {
	return accept(ctx, pool, g, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE export.generations SET stream_name = $2, stream_created = $3, stream_id = nullif($4, '') WHERE generation = $1`,
			g.Number, stream.Name, stream.Created, stream.ID)
		if err != nil {
			return err
		}
		for _, table := range rows.DismissalTables {
			_, err = tx.Exec(ctx, `UPDATE export.`+table+` SET stream_name = $3, stream_created = $4 WHERE stream_name = $1 AND stream_created = $2`,
				g.Stream.Name, g.Stream.Created, stream.Name, stream.Created)
			if err != nil {
				return err
			}
		}
		var partitions []int32
		var times []time.Time
		for partition, at := range last {
			partitions, times = append(partitions, int32(partition)), append(times, at)
		}
		_, err = tx.Exec(ctx, `
UPDATE export.checkpoints c SET epoch = epoch + 1, last_at = coalesce(
    (SELECT u.at FROM unnest($2::integer[], $3::timestamptz[]) AS u (partition, at) WHERE u.partition = c.partition), last_at)
WHERE generation = $1`, g.Number, partitions, times)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO export.acceptances (generation, what) VALUES ($1, $2)`, g.Number,
			fmt.Sprintf("stream %s created %s in place of %s created %s", stream.Name, stream.Created.UTC(), g.Stream.Name, g.Stream.Created.UTC()))
		return err
	})
}

// AcceptLoss makes a generation go on right before the position first although
// its checkpoints are lower: the messages between are gone. Its accounts are
// not refolded any more.
func AcceptLoss(ctx context.Context, pool *pgxpool.Pool, g readmodel.Generation, first uint64) error {
	err := accept(ctx, pool, g, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
INSERT INTO export.acceptances (generation, what, lost_from, lost_to)
SELECT $1, 'messages gone unread', min(position) + 1, $2 FROM export.checkpoints WHERE generation = $1 AND position < $2`, g.Number, first-1)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
UPDATE export.checkpoints SET position = $2, epoch = epoch + 1 WHERE generation = $1 AND position < $2`, g.Number, first-1)
		return err
	})
	if err == nil {
		readmodel.NotifyBestEffort(ctx, pool, readmodel.CheckpointsChannel)
	}
	return err
}

// accept changes the live generation, unless it is no longer what the caller saw or
// projecting is paused.
func accept(ctx context.Context, pool *pgxpool.Pool, g readmodel.Generation, write func(pgx.Tx) error) error {
	err := pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		// Nothing may have changed since the caller looked.
		var unchanged bool
		err := tx.QueryRow(ctx, `
SELECT coalesce((SELECT state = 'live' AND stream_name = $2 AND stream_created = $3 FROM export.generations WHERE generation = $1 FOR UPDATE), false)`,
			g.Number, g.Stream.Name, g.Stream.Created).Scan(&unchanged)
		if err != nil {
			return err
		}
		if !unchanged {
			return errors.New("it is no longer live, or was accepted by somebody else meanwhile: look again")
		}
		if err := write(tx); err != nil {
			return err
		}
		return readmodel.CheckPaused(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("accept the stream for generation %d: %w", g.Number, readmodel.AsEngineError(err))
	}
	return nil
}

// HistoryGone tells whether the live generation goes on although messages are
// gone: then it cannot be compared with the stream.
func HistoryGone(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return false, err
	}
	return historyGone(ctx, pool, g.Number)
}

func historyGone(ctx context.Context, db pg.Querier, generation int64) (gone bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM export.acceptances WHERE generation = $1 AND lost_to IS NOT NULL)`, generation).Scan(&gone)
	if err != nil {
		return false, fmt.Errorf("read what was accepted: %w", err)
	}
	return gone, nil
}
