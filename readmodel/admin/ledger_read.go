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
)

// erasureColumns are what [scanErasure] reads.
const erasureColumns = `account_id, erased_at, position, stream_name, stream_created, coalesce(receipt, '')`

func scanErasure(r pgx.CollectableRow) (e Erasure, err error) {
	err = r.Scan((*[16]byte)(&e.Account), &e.ErasedAt, &e.Position, &e.Stream, &e.StreamCreated, &e.Receipt)
	return e, err
}

// Erasures lists up to limit entries of the ledger in the order of their
// accounts, those after one, from the first where after is nil.
func Erasures(ctx context.Context, pool *pgxpool.Pool, after *events.UUID, limit int) ([]Erasure, error) {
	return selectErasures(ctx, pool, `WHERE $1::uuid IS NULL OR account_id > $1 ORDER BY account_id LIMIT $2`, (*[16]byte)(after), limit)
}

// FindErasure is an account's entry; [accountexport/readmodel.ErrNotFound] where there
// is none.
func FindErasure(ctx context.Context, pool *pgxpool.Pool, account events.UUID) (Erasure, error) {
	rows, err := pool.Query(ctx, `SELECT `+erasureColumns+` FROM export.erasures WHERE account_id = $1`, [16]byte(account))
	if err != nil {
		return Erasure{}, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanErasure)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, fmt.Errorf("account %s on the ledger of erasures: %w", account, readmodel.ErrNotFound)
	}
	if err != nil {
		return e, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	return e, nil
}

// FindErasures are the entries of those accounts that have one.
func FindErasures(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) ([]Erasure, error) {
	return selectErasures(ctx, pool, `WHERE account_id = ANY($1) ORDER BY account_id`, uuids(accounts))
}

// LedgerEntered tells when those of the accounts that have an entry got it, by this
// program's clock: it is measured by how long ago it was by the database's.
func LedgerEntered(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) (map[events.UUID]time.Time, error) {
	entered, now := map[events.UUID]time.Time{}, time.Now()
	rows, err := pool.Query(ctx, `SELECT account_id, extract(epoch FROM clock_timestamp() - entered_at)::float8 FROM export.erasures WHERE account_id = ANY($1)`, uuids(accounts))
	if err == nil {
		var id [16]byte
		var age float64
		_, err = pgx.ForEachRow(rows, []any{&id, &age}, func() error {
			entered[id] = now.Add(-time.Duration(age * float64(time.Second)))
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	return entered, nil
}

// selectErasures lists the entries that a clause selects.
func selectErasures(ctx context.Context, pool *pgxpool.Pool, clause string, args ...any) ([]Erasure, error) {
	rows, err := pool.Query(ctx, `SELECT `+erasureColumns+` FROM export.erasures `+clause, args...)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanErasure)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	return out, nil
}

// LedgerStatus says how well the ledger is backed up.
type LedgerStatus struct {
	Erasures int64
	Exported *time.Time    // when it was last exported; nil: never
	Age      time.Duration // of that export, or of the first entry where there is none; 0 without entries
}

// selectLedgerStatus is one row of a [LedgerStatus], the age in seconds.
const selectLedgerStatus = `
SELECT l.n AS erasures, x.exported_at, CASE WHEN l.n = 0 THEN 0 ELSE extract(epoch FROM now() - coalesce(x.exported_at, l.first))::float8 END AS age
FROM (SELECT count(*) AS n, min(entered_at) AS first FROM export.erasures) l LEFT JOIN export.erasures_exported x ON true`

// ReadLedgerStatus reads it, by the database's clock.
func ReadLedgerStatus(ctx context.Context, db pg.Querier) (l LedgerStatus, err error) {
	var seconds float64
	err = db.QueryRow(ctx, selectLedgerStatus).Scan(&l.Erasures, &l.Exported, &seconds)
	if err != nil {
		return l, fmt.Errorf("read the ledger of erasures: %w", err)
	}
	l.Age = max(0, time.Duration(seconds*float64(time.Second)))
	return l, nil
}
