package readmodel

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel/internal/pg"
)

// EnsureCountColumns gives the rows of a generation of [FormatPlain] the columns for a
// message count and a digest that those of [FormatCounted] have. Nothing is
// rewritten: the rows that exist have neither until they are verified. It needs the
// table's lock for a moment, and gives way to whoever reads it for longer (see
// [pg.RetryLocked]). Older programs read and write on, without these columns. It
// may be repeated.
func EnsureCountColumns(ctx context.Context, db pg.Beginner, g Generation) error {
	if g.Format >= FormatCounted {
		return nil
	}
	var present bool
	err := db.QueryRow(ctx, `
SELECT count(*) = 4 FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attname IN ('counted_at', 'messages', 'digest_high', 'digest_low') AND NOT attisdropped`,
		SchemaName(g.Number)+".account_export").Scan(&present)
	if err != nil || present {
		return err
	}
	err = pg.RetryLocked(ctx, func() error {
		return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, InSchema(g.Number, `
SET LOCAL ROLE `+ProjectorRole+`;
SET LOCAL lock_timeout = '100ms';
ALTER TABLE IF EXISTS {schema}.account_export ADD COLUMN IF NOT EXISTS counted_at bigint, ADD COLUMN IF NOT EXISTS messages bigint,
    ADD COLUMN IF NOT EXISTS digest_high bigint, ADD COLUMN IF NOT EXISTS digest_low bigint`))
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("give rows of generation %d a count: %w", g.Number, err)
	}
	return nil
}
