package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// ReadTier does for a quota tier what [ReadAccount] does for an account.
type ReadTier func(ctx context.Context, tier string, after, upTo uint64, each func(projections.Message) error) error

// RefoldTier does for a quota tier what [RefoldAccounts] does for accounts, where
// messages of its subject are parked: they are read and folded before the lock is
// taken, and under it only what has come since. [ErrDataLoss] where the stream no
// longer holds the definition in force.
func RefoldTier(ctx context.Context, pool *pgxpool.Pool, subject string, read ReadTier) (changed bool, err error) {
	g, err := refoldableGeneration(ctx, pool)
	if err != nil {
		return false, err
	}
	s := &tierRefold{generation: g, subject: subject, tier: events.ParseSubject(subject).Tier, read: read}
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, `SELECT partition FROM {schema}.parked WHERE subject = $1 AND account_id IS NULL LIMIT 1`), subject).
		Scan(&s.partition)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("refold %s: %w", subject, err)
	}
	at, err := readmodel.BeginAdvance(ctx, pool, g.Number, s.partition)
	if err == nil {
		err = s.foldUpTo(ctx, at.From)
	}
	if err == nil {
		err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error { return s.replace(ctx, tx) })
	}
	if err != nil {
		return false, fmt.Errorf("refold %s: %w", subject, readmodel.AsEngineError(err))
	}
	return s.changed, nil
}

// tierRefold replaces a tier.
type tierRefold struct {
	generation    readmodel.Generation
	subject, tier string
	partition     int
	read          ReadTier

	fold    projections.TierRefold
	upTo    uint64 // everything up to here was folded
	changed bool
}

// foldUpTo folds the messages up to a position that were not folded yet.
func (s *tierRefold) foldUpTo(ctx context.Context, upTo uint64) error {
	if upTo <= s.upTo {
		return nil
	}
	if err := s.read(ctx, s.tier, s.upTo, upTo, func(m projections.Message) error {
		if m.Position <= s.upTo || m.Position > upTo {
			return nil
		}
		return s.fold.Apply(m)
	}); err != nil {
		return err
	}
	s.upTo = upTo
	return nil
}

// replace is the transaction.
func (s *tierRefold) replace(ctx context.Context, tx pgx.Tx) error {
	advance, err := readmodel.LockAdvance(ctx, tx, s.generation.Number, s.partition)
	if err != nil {
		return err
	}
	if err := s.foldUpTo(ctx, advance.From); err != nil {
		return err
	}
	if err := checkTierLoss(ctx, tx, s.generation.Number, s.tier, &s.fold); err != nil {
		return err
	}
	found, err := tx.Query(ctx, readmodel.InSchema(s.generation.Number, `SELECT position FROM {schema}.parked WHERE subject = $1 AND account_id IS NULL`), s.subject)
	if err != nil {
		return fmt.Errorf("read parked messages: %w", err)
	}
	parked, err := pgx.CollectRows(found, pgx.RowTo[uint64])
	if err != nil {
		return fmt.Errorf("read parked messages: %w", err)
	}
	moveTally(&advance, parked, s.fold.Outcomes)
	if s.changed = advance.Tally != (projections.Tally{}); !s.changed {
		return nil
	}
	if _, err := tx.Exec(ctx, readmodel.InSchema(s.generation.Number, `DELETE FROM {schema}.parked WHERE subject = $1 AND account_id IS NULL`), s.subject); err != nil {
		return err
	}
	b := &engine.Batch{Generation: s.generation.Number, Advances: []engine.Advance{advance}}
	for _, m := range s.fold.Parked {
		m.Partition = s.partition
		b.Parked = append(b.Parked, m)
	}
	if d := s.fold.Definition; d != nil {
		tier := *d
		tier.Partition = s.partition
		b.Tiers = append(b.Tiers, tier)
	}
	if err := rows.ExecBatch(ctx, tx, b); err != nil {
		return err
	}
	rows.QueueNewEpoch(func(sql string, args ...any) { _, err = tx.Exec(ctx, sql, args...) }, s.generation.Number, s.partition)
	return err
}
