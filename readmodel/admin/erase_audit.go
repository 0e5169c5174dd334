package admin

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// forgetAudited takes an account out of the lines of the audit, but for those of its
// erasure, and returns how many those were. It waits for lines that are being written,
// and later ones wait until tx ends.
func forgetAudited(ctx context.Context, tx pgx.Tx, account events.UUID) (lines int64, err error) {
	ids := uuids([]events.UUID{account})
	if _, err := tx.Exec(ctx, rows.LockAudit, ids); err != nil {
		return 0, fmt.Errorf("lock the audit: %w", err)
	}
	tag, err := tx.Exec(ctx, rows.ForgetAudited, ids)
	if err != nil {
		return 0, fmt.Errorf("take the account out of the audit: %w", err)
	}
	return tag.RowsAffected(), nil
}

// ForgetAudited takes an account of which nothing else is known out of the lines of the
// audit, as [ClearAccount] does with one that is erased. It is on no ledger, so that
// later lines name it.
func ForgetAudited(ctx context.Context, pool *pgxpool.Pool, account events.UUID) (lines int64, err error) {
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		if err := limitLockWait(ctx, tx); err != nil {
			return err
		}
		lines, err = forgetAudited(ctx, tx, account)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("account %s: %w", account, err)
	}
	return lines, nil
}

// countAudited counts the lines of the audit that name an account, but for those of its
// erasure.
func countAudited(ctx context.Context, db pg.Querier, account events.UUID) (lines int64, err error) {
	err = db.QueryRow(ctx, `SELECT count(*) FROM export.audit WHERE account = $1 AND `+rows.NamesErased, [16]byte(account)).Scan(&lines)
	if err != nil {
		return 0, fmt.Errorf("look into the audit: %w", err)
	}
	return lines, nil
}
