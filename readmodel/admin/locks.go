package admin

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Transactions here lock rows of export.generations before rows of
// export.checkpoints, and both in the order of their keys, as cut-overs do, so that
// they do not deadlock.

// lockTimeout is how long a transaction waits for another one that holds generations or
// checkpoints: a cut-over may hold them while it brings a generation to the end of the
// stream.
const lockTimeout = 30 * time.Second

// limitLockWait has tx fail ([pg.LockNotAvailable]) where it waits for a lock for longer
// than [lockTimeout].
func limitLockWait(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, pg.Milliseconds(lockTimeout))
	return err
}

// shareGenerations keeps all generations from changing state until tx ends, beside other
// transactions that do so, and lists those for which a WHERE clause holds.
func shareGenerations(ctx context.Context, tx pgx.Tx, where string) ([]readmodel.Generation, error) {
	if _, err := tx.Exec(ctx, `SELECT FROM export.generations ORDER BY generation FOR SHARE`); err != nil {
		return nil, err
	}
	return readmodel.SelectGenerations(ctx, tx, where)
}

// scanAccountID reads a row that is an account's id.
func scanAccountID(row pgx.CollectableRow) (id events.UUID, err error) {
	err = row.Scan((*[16]byte)(&id))
	return id, err
}
