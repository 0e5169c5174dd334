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

// PendingErasure is an erasure that was begun, or came with an imported ledger, and is not
// proven to be done in this database and its stream.
type PendingErasure struct {
	Account events.UUID
	Emails  []string // by which what is left of the person is found
	Redo    bool     // for `projector accept` or a rebuild to carry out: nothing may be folded before
	Done    bool     // here: copies of the stream keep what they have
	Began   time.Time
}

const owe = `
INSERT INTO export.erasures_owed AS o (account_id, emails, anew) VALUES ($1, $2, $3)
ON CONFLICT (account_id) DO UPDATE SET anew = o.anew OR excluded.anew,
    emails = (SELECT coalesce(array_agg(DISTINCT e), '{}') FROM unnest(o.emails || excluded.emails) AS e)`

// BeginErasure notes that an account is about to be erased, and by which addresses
// what is left of it is found, beside those that are noted already. Whatever
// becomes of whoever erases it, this stays until [CompleteErasure].
func BeginErasure(ctx context.Context, pool *pgxpool.Pool, account events.UUID, emails []string, anew bool) error {
	if _, err := pool.Exec(ctx, owe, [16]byte(account), append([]string{}, emails...), anew); err != nil {
		return fmt.Errorf("note that account %s is to be erased: %w", account, err)
	}
	return nil
}

// CheckErasable says what would keep an account from being erased from the tables; it
// changes nothing.
func CheckErasable(ctx context.Context, pool *pgxpool.Pool) error {
	changed := errors.New("nothing")
	err := pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = '%ds'`, int(eraseLockTimeout.Seconds()))); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, owe, [16]byte{}, []string{}, false); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT FROM export.generations ORDER BY generation FOR SHARE`); err != nil {
			return err
		}
		all, err := readmodel.SelectGenerations(ctx, tx, "")
		if err != nil {
			return err
		}
		for _, g := range all {
			for _, table := range rows.AccountTables {
				if _, err := tx.Exec(ctx, readmodel.InSchema(g.Number, `DELETE FROM {schema}.`+table+` WHERE account_id = $1`), [16]byte{}); err != nil {
					return err
				}
			}
		}
		return changed // so that it is rolled back
	})
	if errors.Is(err, changed) {
		return nil
	}
	if pg.Code(err) == pg.LockNotAvailable {
		return fmt.Errorf("a cut-over, or somebody else's transaction, has held the generations for %v: %w", eraseLockTimeout, err)
	}
	return fmt.Errorf("the database cannot be written: %w", err)
}

// CompleteErasure notes that an account is erased, and proven to be: nothing is owed
// any more. receipt is the digest of the receipt; empty where there is none.
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

// MarkErasedLocally notes that an account is erased here, and that something else keeps
// what it has of it: the entry stays, and nothing has to be carried out anew.
func MarkErasedLocally(ctx context.Context, pool *pgxpool.Pool, account events.UUID) error {
	if _, err := pool.Exec(ctx, `UPDATE export.erasures_owed SET anew = false, done = true WHERE account_id = $1`, [16]byte(account)); err != nil {
		return fmt.Errorf("note that account %s is erased here: %w", account, err)
	}
	return nil
}

// PendingErasures lists what is owed; those to be carried out anew alone where anew
// is set.
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

// CountErasedServed counts accounts of the ledger that the live generation does
// not have as erased: they are served.
func CountErasedServed(ctx context.Context, db pg.Querier) (n int64, err error) {
	g, err := readmodel.LiveGeneration(ctx, db)
	if errors.Is(err, readmodel.ErrNoGeneration) {
		return 0, nil
	}
	if err == nil {
		err = db.QueryRow(ctx, readmodel.InSchema(g.Number, `
SELECT count(*) FROM export.erasures e JOIN {schema}.account_export a USING (account_id) WHERE a.erased_at IS NULL`)).Scan(&n)
	}
	if err != nil {
		return 0, fmt.Errorf("look for accounts that were erased and are served: %w", err)
	}
	return n, nil
}

// AccountsWithTraces tells of which accounts any generation stores anything beside a
// tombstone.
func AccountsWithTraces(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) (map[events.UUID]bool, error) {
	traced := map[events.UUID]bool{}
	all, err := readmodel.SelectGenerations(ctx, pool, "")
	if err != nil {
		return nil, err
	}
	ask := func(sql string) error {
		rows, err := pool.Query(ctx, sql, uuids(accounts))
		if err != nil {
			return err
		}
		var id [16]byte
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			traced[id] = true
			return nil
		})
		return err
	}
	for _, g := range all {
		for _, table := range rows.AccountTables {
			condition := ""
			if table == "account_export" {
				condition = ` AND ` + noTombstone
			}
			if err := ask(readmodel.InSchema(g.Number, `SELECT DISTINCT account_id FROM {schema}.`+table+` WHERE account_id = ANY($1)`+condition)); err != nil {
				return nil, fmt.Errorf("look into generation %d: %w", g.Number, err)
			}
		}
		// What is parked of nobody may speak of them.
		if err := ask(readmodel.InSchema(g.Number, `
SELECT DISTINCT u.id FROM {schema}.parked p
CROSS JOIN LATERAL regexp_matches(lower(p.subject || ' ' || encode(p.payload, 'escape')), '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') AS m (found)
JOIN unnest($1::uuid[]) AS u (id) ON u.id = m.found[1]::uuid
WHERE p.account_id IS NULL`)); err != nil {
			return nil, fmt.Errorf("look into generation %d: %w", g.Number, err)
		}
	}
	return traced, ask(`
SELECT account_id FROM export.dismissals WHERE account_id = ANY($1) UNION SELECT account_id FROM export.undismissals WHERE account_id = ANY($1)`)
}
