package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
)

// RetryTargets is the accounts and tiers of parked messages.
type RetryTargets struct {
	Accounts []events.UUID // by partition, in the order of their ids
	Tiers    []string      // subjects, as published
}

// FindRetryTargets lists the accounts and tiers with parked messages; olderOnly
// leaves out accounts that were folded by this minor version from their first
// message on.
func FindRetryTargets(ctx context.Context, pool *pgxpool.Pool, olderOnly bool) (r RetryTargets, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return r, err
	}
	rows, err := pool.Query(ctx, readmodel.InSchema(g.Number, `
SELECT account_id FROM {schema}.account_export WHERE parked > 0 AND (NOT $1 OR version_minor < $2) ORDER BY partition, account_id`),
		olderOnly, projections.VersionMinor)
	if err != nil {
		return r, fmt.Errorf("list accounts with parked messages: %w", err)
	}
	r.Accounts, err = pgx.CollectRows(rows, scanAccountID)
	if err != nil {
		return r, fmt.Errorf("list accounts with parked messages: %w", err)
	}
	rows, err = pool.Query(ctx, readmodel.InSchema(g.Number, `SELECT DISTINCT subject FROM {schema}.parked WHERE account_id IS NULL ORDER BY subject`))
	if err != nil {
		return r, fmt.Errorf("list tiers with parked messages: %w", err)
	}
	subjects, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return r, fmt.Errorf("list tiers with parked messages: %w", err)
	}
	r.Tiers = slices.DeleteFunc(subjects, func(s string) bool { return events.ParseSubject(s).Kind != events.SubjectTier })
	return r, nil
}

// RetryDue tells whether the live generation is this program's, and holds what
// an older minor version has parked and this one has not tried.
func RetryDue(ctx context.Context, pool *pgxpool.Pool) (generation int64, due bool, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return 0, false, err
	}
	if g.Major != projections.VersionMajor || g.Minor != projections.VersionMinor || g.RefoldedMinor >= g.Minor {
		return g.Number, false, nil
	}
	gone, err := historyGone(ctx, pool, g.Number)
	return g.Number, !gone, err
}

// WithRetryLock runs do, unless another replica is running it.
func WithRetryLock(ctx context.Context, pool *pgxpool.Pool, do func() error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { // not RetryTx: do must not run twice
		var locked bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtext('accountexport retry'))`).Scan(&locked); err != nil || !locked {
			return err
		}
		return do()
	})
}

// MarkRetried notes that everything that was parked has been retried by this minor
// version.
func MarkRetried(ctx context.Context, pool *pgxpool.Pool, generation int64) error {
	_, err := pool.Exec(ctx, `UPDATE export.generations SET refolded_minor = $2 WHERE generation = $1`, generation, projections.VersionMinor)
	if err != nil {
		return fmt.Errorf("note that generation %d is retried: %w", generation, err)
	}
	return nil
}
