package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Connect opens a connection with a session of its own, which has the settings of
// [ApplySettings].
func Connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		if err = ApplySettings(ctx, conn, true); err != nil {
			CloseWithTimeout(ctx, conn)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// ApplySettings gives a connection the settings that the programs' statements rely
// on, whatever the role or the database has as its own. session says that the
// connection is known to keep its session, as through a pooler of sessions.
func ApplySettings(ctx context.Context, conn *pgx.Conn, session bool) error {
	if _, err := conn.Exec(ctx, settingsSQL, pgx.QueryExecModeExec, int64(conn.PgConn().PID()), session); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// settingsSQL sets what differs from what is needed. It sets it for the session
// where the session is the client's own: its server process is the one that was
// announced when it connected ($1), or the caller knows ($2). Otherwise, as
// through a pooler of transactions, it sets it for this statement alone, which
// leaves the next client's session as it was.
const settingsSQL = `
SELECT set_config(s.name, w.value, NOT (pg_backend_pid() = $1::bigint OR $2::boolean)) FROM pg_settings s JOIN (VALUES
    ('default_transaction_isolation', 'read committed'), ('statement_timeout', '0'), ('transaction_timeout', '0'), ('lock_timeout', '0'),
    ('idle_session_timeout', '0'), ('bytea_output', 'hex')) AS w (name, value) ON w.name = s.name AND w.value <> s.setting`

// CloseWithTimeout closes a connection, and waits for a second at most where the
// server does not answer. Where a statement was broken off, closing has the server
// asked to cancel it, and the answer to that is waited for as well: a program that
// ends before it makes PgBouncer 1.18 crash (its issue 801).
func CloseWithTimeout(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
