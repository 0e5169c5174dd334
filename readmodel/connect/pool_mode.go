package connect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/readmodel/internal/pg"
)

// PoolMode is what is between a program and PostgreSQL, as far as a program can tell.
type PoolMode uint8

// The ways to PostgreSQL.
const (
	NoPooler           PoolMode = iota // nothing that changes what a connection is
	SessionPooling                     // a pooler that gives a connection a server process for as long as it is there
	TransactionPooling                 // a pooler that gives each transaction a server process
	UnknownPooling                     // a pooler, which has none to spare for finding out
)

func (w PoolMode) String() string {
	return map[PoolMode]string{NoPooler: "nothing", SessionPooling: "a pooler of sessions", TransactionPooling: "a pooler of transactions",
		UnknownPooling: "a pooler, of sessions or of transactions"}[w]
}

// ErrMisconfigured means that what is between the program and PostgreSQL, or how
// PostgreSQL is set up, does not go with what the program was told. The error
// says what would.
var ErrMisconfigured = errors.New("the database cannot be used so")

// misconfigured is an ErrMisconfigured that says only what is wrong.
type misconfigured string

func (e misconfigured) Error() string        { return string(e) }
func (e misconfigured) Is(target error) bool { return target == ErrMisconfigured }

const (
	wayRounds     = 4 // of two connections, in which a pooler of transactions gives itself away
	detectTimeout = 3 * time.Second
)

// detectPoolMode connects as it is told and finds out what is in between, and how the
// database is set up. PostgreSQL
// tells a client its server process when it connects, and a pooler makes one up.
// A pooler that pools transactions gives itself away when one connection has the
// server process that another one had, while that is still there.
//
// An [ErrMisconfigured] means that nothing can go this way; another one that the server
// cannot be reached.
func detectPoolMode(ctx context.Context, cfg *pgx.ConnConfig) (way PoolMode, s ServerInfo, err error) {
	first, cancel := context.WithTimeout(ctx, detectTimeout+connectionWait)
	defer cancel()
	one, err := connectWhenFree(first, cfg)
	if err != nil {
		return UnknownPooling, s, err
	}
	defer pg.CloseWithTimeout(ctx, one)
	ctx, cancel = context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	if s, err = readServerInfo(ctx, one); err != nil {
		return UnknownPooling, s, err
	}
	was, err := processOf(ctx, one)
	switch {
	case err != nil:
		return UnknownPooling, s, err
	case was == one.PgConn().PID():
		return NoPooler, s, nil
	}
	other, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return UnknownPooling, s, nil
	}
	defer pg.CloseWithTimeout(ctx, other)
	for range wayRounds {
		changed, err := changes(ctx, one, other, was)
		switch {
		case statementsOnly(err):
			return UnknownPooling, s, misconfigured("a pooler is in between that pools statements, through which there are no transactions: " +
				"pool_mode = session or transaction would do")
		case err != nil:
			return UnknownPooling, s, nil
		case changed:
			return TransactionPooling, s, nil
		}
	}
	return SessionPooling, s, nil
}

// changes tells whether a connection has lost its server process while another
// one is in a transaction.
func changes(ctx context.Context, one, other *pgx.Conn, was uint32) (bool, error) {
	if _, err := other.Exec(ctx, `BEGIN`, pgx.QueryExecModeExec); err != nil {
		return false, err
	}
	taken, err := processOf(ctx, other)
	if err != nil {
		return false, err
	}
	now := was
	if taken != was {
		if now, err = processOf(ctx, one); err != nil {
			return false, err
		}
	}
	_, err = other.Exec(ctx, `ROLLBACK`, pgx.QueryExecModeExec)
	return taken == was || now != was, err
}

func processOf(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	err = conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeExec).Scan(&pid)
	if err != nil {
		return 0, fmt.Errorf("ask for the server process: %w", err)
	}
	return pid, nil
}

// statementsOnly is how PgBouncer refuses a transaction.
func statementsOnly(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && strings.Contains(pg.Message, "statement pooling mode")
}

// preparedStays tells whether statements that were prepared on a connection are
// there when it has another server process: the pooler must see to it, as
// PgBouncer does since 1.21 where max_prepared_statements is above 0.
func preparedStays(ctx context.Context, cfg *pgx.ConnConfig) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	one, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer pg.CloseWithTimeout(ctx, one)
	other, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer pg.CloseWithTimeout(ctx, other)
	name := "accountexport_" + rand.Text() // what is prepared stays with the server process
	if _, err := one.Prepare(ctx, name, `SELECT pg_backend_pid()`); err != nil {
		return false, fmt.Errorf("prepare: %w", err)
	}
	for range wayRounds {
		was, err := processOf(ctx, one)
		if err != nil {
			return false, err
		}
		if _, err := other.Exec(ctx, `BEGIN`, pgx.QueryExecModeExec); err != nil {
			return false, err
		}
		if _, err := processOf(ctx, other); err != nil {
			return false, err
		}
		var now uint32
		err = one.QueryRow(ctx, name).Scan(&now)
		switch {
		case pg.Code(err) == "26000": // invalid_sql_statement_name: the other server process has none of this name
			return false, nil
		case err != nil:
			return false, err
		case now != was:
			return true, nil
		}
		if _, err := other.Exec(ctx, `ROLLBACK`, pgx.QueryExecModeExec); err != nil {
			return false, err
		}
	}
	return true, nil // it has always had the same one: nobody else is here
}

// checkMode is an [ErrMisconfigured] where statements cannot be sent the way that the
// URL's default_query_exec_mode says.
func checkMode(ctx context.Context, cfg *pgx.ConnConfig, way PoolMode) error {
	if way != TransactionPooling {
		return nil
	}
	const would = "; default_query_exec_mode=exec or cache_describe in the URL would do"
	switch mode := cfg.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeCacheStatement:
		stay, err := preparedStays(ctx, cfg)
		if err == nil && !stay {
			err = misconfigured("the pooler in between pools transactions and knows no prepared statements" + would +
				", or a pooler that knows them (PgBouncer since 1.21 with max_prepared_statements)")
		}
		return err
	case pgx.QueryExecModeDescribeExec:
		return misconfigured("the pooler in between pools transactions, where default_query_exec_mode=describe_exec would run " +
			"a statement elsewhere than it was prepared" + would)
	}
	return nil
}
