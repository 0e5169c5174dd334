// Package pg is what the packages of the read model share of PostgreSQL: which
// errors mean what, transactions that are tried again, timeouts that adapt, and
// the settings of a session and of a transaction.
package pg

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

type Beginner interface {
	Querier
	Begin(ctx context.Context) (pgx.Tx, error)
}

// dropped tells that the generation's tables are gone.
func IsUndefinedTable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000")
}

// older tells that a column is not there yet.
func IsUndefinedColumn(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42703"
}

// closeSoon closes a connection, and waits for no server that does not answer. One
// that was broken off has the server asked to give up what is under way: the
// answer is waited for, since a program that ends before takes PgBouncer 1.18 with
// it (its issue 801).
func CloseWithTimeout(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func Milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
