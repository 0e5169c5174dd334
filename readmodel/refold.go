package readmodel

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
)

// SwapAccount replaces what the live generation holds of an account with a
// fold of its messages up to the checkpoint of its partition, in one
// transaction. It races safely with the live projector: the checkpoint's row is
// locked, so nothing is committed for the partition meanwhile, and its epoch is
// moved on, so a projector with the account in its memory is fenced and loads
// it anew. [ErrNotFound] where the account was never heard of. It tells whether
// anything of the account has changed.
func SwapAccount(ctx context.Context, pool *pgxpool.Pool, account events.UUID,
	fold func(ctx context.Context, upTo uint64) (*projections.Refold, error)) (changed bool, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		g, err := liveGeneration(ctx, tx)
		if err != nil {
			return err
		}
		if g.Major != projections.VersionMajor {
			return fmt.Errorf("%w: generation %d was folded by projection version %s: `projector rebuild` instead",
				projections.ErrRefused, g.Number, g.Version())
		}
		var at projections.Advance
		err = tx.QueryRow(ctx, inSchema(g.Number, `
SELECT c.partition, c.position, c.epoch, c.as_of FROM export.checkpoints c
WHERE c.generation = $1 AND c.partition = (SELECT partition FROM {schema}.account_export WHERE account_id = $2) FOR UPDATE`),
			g.Number, [16]byte(account)).Scan(&at.Partition, &at.From, &at.Epoch, &at.AsOf)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("account %s: %w", account, ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("lock the checkpoint: %w", err)
		}
		at.To = at.From
		before, err := fingerprint(ctx, tx, g.Number, account)
		if err != nil {
			return err
		}
		was, err := parkedPositions(ctx, tx, g.Number, account)
		if err != nil {
			return err
		}
		r, err := fold(ctx, at.From)
		if err != nil {
			return err
		}
		for _, position := range was {
			if now := r.Outcomes[position]; now != projections.Parked {
				at.Tally[projections.Parked]--
				at.Tally[now]++
			}
		}
		change, err := r.State.Flush()
		if err != nil {
			return err
		}
		change.New, change.Wiped = false, true
		if err := execute(ctx, tx, &projections.Batch{Generation: g.Number, Changes: []projections.Change{change}, Parked: r.Parked,
			Advances: []projections.Advance{at}}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1 AND partition = $2`,
			g.Number, at.Partition); err != nil {
			return fmt.Errorf("fence: %w", err)
		}
		after, err := fingerprint(ctx, tx, g.Number, account)
		changed = before != after
		return err
	})
	if err != nil {
		return false, fmt.Errorf("refold account %s: %w", account, fenced(err))
	}
	return changed, nil
}

func execute(ctx context.Context, tx pgx.Tx, b *projections.Batch) (err error) {
	write(b, func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	})
	return err
}

// fingerprint is a digest of all that is stored of an account.
func fingerprint(ctx context.Context, tx pgx.Tx, generation int64, account events.UUID) (sum string, err error) {
	err = tx.QueryRow(ctx, inSchema(generation, `
SELECT md5(concat_ws('|',
    (SELECT a::text FROM {schema}.account_export a WHERE account_id = $1),
    (SELECT string_agg(p::text, '|' ORDER BY section, page_key) FROM {schema}.account_export_pages p WHERE account_id = $1),
    (SELECT string_agg(w::text, '|' ORDER BY entity, entity_id) FROM {schema}.account_waiting w WHERE account_id = $1),
    (SELECT string_agg(k::text, '|' ORDER BY position) FROM {schema}.parked k WHERE account_id = $1)))`), [16]byte(account)).Scan(&sum)
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	return sum, nil
}

func parkedPositions(ctx context.Context, tx pgx.Tx, generation int64, account events.UUID) ([]uint64, error) {
	rows, err := tx.Query(ctx, inSchema(generation, `SELECT position FROM {schema}.parked WHERE account_id = $1`), [16]byte(account))
	if err != nil {
		return nil, fmt.Errorf("read parked messages: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uint64])
}

// EachWithParked calls each with every account of the live generation that has
// parked messages.
func EachWithParked(ctx context.Context, pool *pgxpool.Pool, each func(events.UUID) error) error {
	g, err := liveGeneration(ctx, pool)
	if err != nil {
		return err
	}
	rows, err := pool.Query(ctx, inSchema(g.Number, `SELECT DISTINCT account_id FROM {schema}.parked WHERE account_id IS NOT NULL ORDER BY account_id`))
	if err != nil {
		return fmt.Errorf("list accounts with parked messages: %w", err)
	}
	ids, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (id events.UUID, err error) {
		err = r.Scan((*[16]byte)(&id))
		return id, err
	})
	if err != nil {
		return fmt.Errorf("list accounts with parked messages: %w", err)
	}
	for _, id := range ids {
		if err := each(id); err != nil {
			return err
		}
	}
	return nil
}
