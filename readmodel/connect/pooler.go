package connect

import (
	"context"
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

// The pool modes.
const (
	NoPooler           PoolMode = iota // nothing that changes what a connection is
	SessionPooling                     // a pooler that gives a connection a server process for as long as it is open
	TransactionPooling                 // a pooler that gives each transaction a server process
	UnknownPooling                     // a pooler that had no second connection to spare for finding out
)

func (m PoolMode) String() string {
	return map[PoolMode]string{NoPooler: "nothing", SessionPooling: "a pooler of sessions", TransactionPooling: "a pooler of transactions",
		UnknownPooling: "a pooler, of sessions or of transactions"}[m]
}

// ErrMisconfigured means that what is between the program and PostgreSQL, or how
// PostgreSQL is set up, does not go with the program's settings. The error says what
// would.
var ErrMisconfigured = errors.New("the database cannot be used so")

// misconfigured is an ErrMisconfigured whose text says only what is wrong.
type misconfigured string

func (e misconfigured) Error() string { return string(e) }

func (e misconfigured) Is(target error) bool { return target == ErrMisconfigured }

const (
	modeRounds    = 4 // attempts to catch a pooler of transactions with two connections
	detectTimeout = 3 * time.Second
)

// detectPoolMode connects by the configuration, and finds out what is in between and how the
// database is set up. PostgreSQL tells a client its server process when it connects,
// and a pooler makes one up. A pooler of transactions gives itself away when a
// connection is given another server process while a second connection has its first
// one.
//
// An [ErrMisconfigured] means that nothing can be done through this pooler; another
// error that the server cannot be reached.
func detectPoolMode(ctx context.Context, cfg *pgx.ConnConfig) (mode PoolMode, s ServerInfo, err error) {
	connectCtx, cancel := context.WithTimeout(ctx, detectTimeout+connectionTimeout)
	defer cancel()
	conn, err := connectWhenFree(connectCtx, cfg)
	if err != nil {
		return UnknownPooling, s, err
	}
	defer pg.CloseWithTimeout(ctx, conn)
	ctx, cancel = context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	if s, err = readServerInfo(ctx, conn); err != nil {
		return UnknownPooling, s, err
	}
	process, err := serverProcess(ctx, conn)
	switch {
	case err != nil:
		return UnknownPooling, s, err
	case process == conn.PgConn().PID():
		return NoPooler, s, nil
	}
	second, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return UnknownPooling, s, nil
	}
	defer pg.CloseWithTimeout(ctx, second)
	for range modeRounds {
		changed, err := processChanges(ctx, conn, second, process)
		switch {
		case isStatementPooling(err):
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

// DetectPoolMode finds out what is between a program and a database that need not be
// a read model's, for a session of its own.
func DetectPoolMode(ctx context.Context, cfg *pgx.ConnConfig) (PoolMode, error) {
	mode, _, err := detectPoolMode(ctx, cfg)
	return mode, err
}

// processChanges tells whether the first connection has lost its server process while
// the second one is in a transaction.
func processChanges(ctx context.Context, first, second *pgx.Conn, process uint32) (bool, error) {
	if _, err := second.Exec(ctx, `BEGIN`, pgx.QueryExecModeExec); err != nil {
		return false, err
	}
	taken, err := serverProcess(ctx, second)
	if err != nil {
		return false, err
	}
	now := process
	if taken != process {
		if now, err = serverProcess(ctx, first); err != nil {
			return false, err
		}
	}
	_, err = second.Exec(ctx, `ROLLBACK`, pgx.QueryExecModeExec)
	return taken == process || now != process, err
}

func serverProcess(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	err = conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeExec).Scan(&pid)
	if err != nil {
		return 0, fmt.Errorf("ask for the server process: %w", err)
	}
	return pid, nil
}

// isStatementPooling recognises how PgBouncer refuses a transaction.
func isStatementPooling(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && strings.Contains(pg.Message, "statement pooling mode")
}
