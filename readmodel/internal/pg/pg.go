// Package pg is what the packages of the read model share of PostgreSQL and pgx:
// what an error's SQLSTATE means, transactions that are retried, timeouts that
// adapt to how long the database takes, and the settings of a session and of a
// transaction. It knows no table.
package pg

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Querier is a pool, a connection or a transaction that is read from.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Beginner is a pool, a connection or a transaction that begins transactions;
// begun in a transaction, they are savepoints.
type Beginner interface {
	Querier
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Sleep waits for d, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Milliseconds is a duration as the value of a setting such as lock_timeout, whose
// unit is milliseconds.
func Milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
