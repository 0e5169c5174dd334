package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// settleSQL makes the settings that the programs' statements rely on: those of
// one role or database may be others. They are made for the session where that
// is the client's own, by its server process ($1) or as was found out ($2), and
// for this statement alone otherwise.
const settingsSQL = `
SELECT set_config(s.name, w.value, NOT (pg_backend_pid() = $1::bigint OR $2::boolean)) FROM pg_settings s JOIN (VALUES
    ('default_transaction_isolation', 'read committed'), ('statement_timeout', '0'), ('transaction_timeout', '0'), ('lock_timeout', '0'),
    ('idle_session_timeout', '0'), ('bytea_output', 'hex')) AS w (name, value) ON w.name = s.name AND w.value <> s.setting`

// connect connects for a session of one's own.
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

// settle makes a connection the program's own.
func ApplySettings(ctx context.Context, conn *pgx.Conn, sessions bool) error {
	if _, err := conn.Exec(ctx, settingsSQL, pgx.QueryExecModeExec, int64(conn.PgConn().PID()), sessions); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}
