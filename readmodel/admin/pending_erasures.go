package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// PendingErasure is an erasure that was begun, or came with an imported ledger, and is
// not proven to be complete in this database and its stream.
type PendingErasure struct {
	Account events.UUID
	Emails  []string // by which what is left of the person is found
	Redo    bool     // `projector accept` or a rebuild carries it out: nothing may be folded before
	Done    bool     // it is complete here; copies of the stream keep what they have
	Began   time.Time
}

const upsertPendingErasure = `
INSERT INTO export.erasures_owed AS o (account_id, emails, anew) VALUES ($1, $2, $3)
ON CONFLICT (account_id) DO UPDATE SET anew = o.anew OR excluded.anew,
    emails = (SELECT coalesce(array_agg(DISTINCT e), '{}') FROM unnest(o.emails || excluded.emails) AS e)`

// BeginErasure notes that an account is about to be erased, and by which addresses
// what is left of it is found, beside those that are noted already. Whatever becomes
// of the program that erases it, the note stays until [CompleteErasure].
func BeginErasure(ctx context.Context, pool *pgxpool.Pool, account events.UUID, emails []string, anew bool) error {
	if _, err := pool.Exec(ctx, upsertPendingErasure, [16]byte(account), append([]string{}, emails...), anew); err != nil {
		return fmt.Errorf("note that account %s is to be erased: %w", account, err)
	}
	return nil
}

// CheckErasable is what would keep an account from being erased from the tables, nil
// where nothing would. It changes nothing.
func CheckErasable(ctx context.Context, pool *pgxpool.Pool) error {
	changed := errors.New("nothing")
	err := pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		if err := limitLockWait(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, upsertPendingErasure, [16]byte{}, []string{}, false); err != nil {
			return err
		}
		all, err := shareGenerations(ctx, tx, "")
		if err != nil {
			return err
		}
		for _, g := range all {
			for _, table := range rows.TablesOf(g) {
				if _, err := tx.Exec(ctx, readmodel.InSchema(g.Number, `DELETE FROM {schema}.`+table+` WHERE account_id = $1`), [16]byte{}); err != nil {
					return err
				}
			}
		}
		if _, err := tx.Exec(ctx, rows.ForgetAudited, [][16]byte{{}}); err != nil {
			return err
		}
		return changed // rolls the transaction back
	})
	if errors.Is(err, changed) {
		return nil
	}
	if pg.Code(err) == pg.LockNotAvailable {
		return fmt.Errorf("a cut-over, or somebody else's transaction, has held the generations for %v: %w", lockTimeout, err)
	}
	return fmt.Errorf("the database cannot be written: %w", err)
}

// CompleteErasure notes that an account is erased, and proven to be: its erasure is no
// longer pending. receipt is the digest of the receipt; empty where there is none.
func CompleteErasure(ctx context.Context, pool *pgxpool.Pool, account events.UUID, receipt string) error {
	err := pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM export.erasures_owed WHERE account_id = $1`, [16]byte(account)); err != nil || receipt == "" {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE export.erasures SET receipt = $2 WHERE account_id = $1`, [16]byte(account), receipt)
		if err == nil && tag.RowsAffected() == 0 {
			err = readmodel.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("note on the ledger that account %s is erased: %w", account, err)
	}
	return nil
}

// MarkErasedLocally notes that an account is erased here, while a copy of the stream
// keeps what it has of it: the erasure stays pending, and nothing has to be carried out
// anew.
func MarkErasedLocally(ctx context.Context, pool *pgxpool.Pool, account events.UUID) error {
	if _, err := pool.Exec(ctx, `UPDATE export.erasures_owed SET anew = false, done = true WHERE account_id = $1`, [16]byte(account)); err != nil {
		return fmt.Errorf("note that account %s is erased here: %w", account, err)
	}
	return nil
}

// PendingErasures lists the erasures that are pending; where anew is set, only those
// to be carried out anew.
func PendingErasures(ctx context.Context, db pg.Querier, anew bool) ([]PendingErasure, error) {
	rows, err := db.Query(ctx, `SELECT account_id, emails, anew, done, began_at FROM export.erasures_owed WHERE anew OR NOT $1 ORDER BY account_id`, anew)
	if err == nil {
		var out []PendingErasure
		if out, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (o PendingErasure, err error) {
			err = r.Scan((*[16]byte)(&o.Account), &o.Emails, &o.Redo, &o.Done, &o.Began)
			return o, err
		}); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("read which erasures are owed: %w", err)
}
