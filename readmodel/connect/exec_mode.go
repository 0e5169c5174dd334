package connect

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel/internal/pg"
)

// checkExecMode is an [ErrMisconfigured] where statements cannot be sent in the way
// that the URL's default_query_exec_mode says.
func checkExecMode(ctx context.Context, cfg *pgx.ConnConfig, poolMode PoolMode) error {
	if poolMode != TransactionPooling {
		return nil
	}
	const hint = "; default_query_exec_mode=exec or cache_describe in the URL would do"
	switch mode := cfg.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeCacheStatement:
		work, err := preparedStatementsWork(ctx, cfg)
		if err == nil && !work {
			err = misconfigured("the pooler in between pools transactions and knows no prepared statements" + hint +
				", or a pooler that knows them (PgBouncer since 1.21 with max_prepared_statements)")
		}
		return err
	case pgx.QueryExecModeDescribeExec:
		return misconfigured("the pooler in between pools transactions, where default_query_exec_mode=describe_exec would run " +
			"a statement elsewhere than it was prepared" + hint)
	}
	return nil
}

// preparedStatementsWork tells whether a statement that was prepared on a connection
// can be executed once the connection has another server process: the pooler has to
// see to that, as PgBouncer does since 1.21 where max_prepared_statements is above 0.
func preparedStatementsWork(ctx context.Context, cfg *pgx.ConnConfig) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	first, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer pg.CloseWithTimeout(ctx, first)
	second, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer pg.CloseWithTimeout(ctx, second)
	name := "accountexport_" + rand.Text() // unique, since the statement stays with the server process
	if _, err := first.Prepare(ctx, name, `SELECT pg_backend_pid()`); err != nil {
		return false, fmt.Errorf("prepare: %w", err)
	}
	for range modeRounds {
		before, err := serverProcess(ctx, first)
		if err != nil {
			return false, err
		}
		if _, err := second.Exec(ctx, `BEGIN`, pgx.QueryExecModeExec); err != nil {
			return false, err
		}
		if _, err := serverProcess(ctx, second); err != nil {
			return false, err
		}
		var now uint32
		err = first.QueryRow(ctx, name).Scan(&now)
		switch {
		case pg.Code(err) == "26000": // invalid_sql_statement_name: this server process has not prepared it
			return false, nil
		case err != nil:
			return false, err
		case now != before:
			return true, nil
		}
		if _, err := second.Exec(ctx, `ROLLBACK`, pgx.QueryExecModeExec); err != nil {
			return false, err
		}
	}
	return true, nil // it always had the same process: no other client takes it
}
