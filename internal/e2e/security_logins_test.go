package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// mayBy runs a statement in a transaction that is rolled back, and tells whether the login
// may do that; what else is wrong with the statement does not count. What cannot be
// done in a transaction is tried without one.
func mayBy(t *testing.T, conn *pgx.Conn, sql string) bool {
	t.Helper()
	if strings.HasPrefix(sql, "CREATE DATABASE") || strings.HasPrefix(sql, "ALTER SYSTEM") {
		_, err := conn.Exec(t.Context(), sql)
		return !forbidden(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), sql)
	return !forbidden(err)
}

func forbidden(err error) bool {
	refused := (*pgconn.PgError)(nil)
	return errors.As(err, &refused) && refused.Code == "42501" // insufficient_privilege
}

// TestALoginReachesNoMoreThanItsRole tries, as each program's login, every kind of
// statement on every table there is: those work that doc/security.md gives its role,
// and no others. Beside tables it tries what a stolen login would be used for.
func TestALoginReachesNoMoreThanItsRole(t *testing.T) {
	t.Parallel()
	s, as := securedDatabase(t)
	rows, err := s.pool.Query(t.Context(), `SELECT format('%s.%s', relnamespace::regnamespace, relname) FROM pg_class
    WHERE relkind = 'r' AND relnamespace::regnamespace::text ~ '^(export|outbox)' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 30 {
		t.Fatalf("%d tables: %v", len(tables), err)
	}
	var victim int
	if err := s.pool.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&victim); err != nil {
		t.Fatal(err)
	}
	read, write := []string{"SELECT whole FROM %s whole LIMIT 0"}, []string{"INSERT INTO %s DEFAULT VALUES", "DELETE FROM %s"}
	owned := []string{"TRUNCATE %s CASCADE", "DROP TABLE %s CASCADE", "CREATE TRIGGER x BEFORE DELETE ON %s EXECUTE FUNCTION suppress_redundant_updates_trigger()", "ALTER TABLE %s ADD x integer"}
	never := []string{
		`CREATE ROLE another`, `CREATE DATABASE another`, `ALTER ROLE postgres PASSWORD 'x'`, `SET ROLE postgres`,
		`SELECT pg_read_file('postgresql.conf')`, `SELECT pg_ls_dir('.')`, `COPY (SELECT 1) TO PROGRAM 'true'`, `COPY (SELECT 1) TO '/tmp/x'`, `SELECT lo_import('/etc/passwd')`,
		`SELECT pg_reload_conf()`, `ALTER SYSTEM SET jit = off`, `SELECT * FROM pg_authid`, `SELECT pg_switch_wal()`, `CREATE EXTENSION file_fdw`,
		fmt.Sprintf(`SELECT pg_terminate_backend(%d)`, victim), fmt.Sprintf(`SELECT pg_cancel_backend(%d)`, victim),
	}
	ofProjector := []string{`CREATE SCHEMA another`, `CREATE TABLE export.x ()`, `CREATE TABLE export_g2.x ()`, `SET ROLE accountexport_projector`,
		`SELECT export.enter_tombstones()`, `SELECT export.advance(1, '{0}', '{0}', '{1}', '{1}', '{now}', '{0}', '{0}', '{0}', '{0}', '{0}')`}
	ofWriter := []string{`SELECT outbox.write('controlplane.quota_tier.free', '{}')`}
	for _, login := range []struct {
		name   string
		may    func(table string) (statements []string)
		refuse []string
	}{
		{"api", func(table string) []string {
			if _, name, _ := strings.Cut(table, "."); slices.Contains([]string{"account_export", "account_export_pages", "account_export_segments", "quota_tiers"}, name) ||
				table == "export.generations" || table == "export.checkpoints" || table == "export.problems" {
				return read
			}
			return nil
		}, slices.Concat(never, ofProjector, ofWriter, []string{`SET ROLE projector`})},
		{"control_plane", func(string) []string { return nil }, slices.Concat(never, ofProjector, []string{`SET ROLE relay`, `CALL outbox.forget('x')`, `SELECT nextval('outbox.messages_seq_seq')`})},
		{"relay", func(table string) []string {
			if strings.HasPrefix(table, "outbox.") {
				return append(read, write...)
			}
			return nil
		}, slices.Concat(never, ofProjector, ofWriter)},
		{"projector", func(table string) []string {
			if strings.HasPrefix(table, "outbox.") {
				return nil
			}
			return slices.Concat(read, write, owned)
		}, slices.Concat(never, ofWriter)},
	} {
		conn, err := pgx.Connect(t.Context(), as(login.name))
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			for _, statement := range slices.Concat(read, write, owned) {
				if got, want := mayBy(t, conn, fmt.Sprintf(statement, table)), slices.Contains(login.may(table), statement); got != want {
					t.Errorf("%s: %s: may it: %v, want %v", login.name, fmt.Sprintf(statement, table), got, want)
				}
			}
		}
		for _, sql := range login.refuse {
			if mayBy(t, conn, sql) {
				t.Errorf("%s may %s", login.name, sql)
			}
		}
		// What others' sessions run, parameters among it, is hidden from all of them.
		var hidden bool
		if err := conn.QueryRow(t.Context(), `SELECT bool_and(query = '<insufficient privilege>') FROM pg_stat_activity WHERE usename = 'postgres'`).Scan(&hidden); err != nil || !hidden {
			t.Errorf("%s sees what others run (%v)", login.name, err)
		}
		// What PostgreSQL lets everybody do who may connect, as the manual says.
		for _, sql := range []string{`NOTIFY export_checkpoints`, `SELECT pg_advisory_xact_lock(1)`, `CREATE TEMPORARY TABLE x ()`, `SELECT lo_create(0)`} {
			if !mayBy(t, conn, sql) {
				t.Errorf("%s may not %s, and doc/security.md says that it may", login.name, sql)
			}
		}
		conn.Close(context.Background())
	}
	// What the manual takes away from everybody, the projector has by a grant of its own.
	var database string
	if err := s.pool.QueryRow(t.Context(), `SELECT quote_ident(current_database())`).Scan(&database); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `REVOKE TEMPORARY ON DATABASE `+database+` FROM PUBLIC`); err != nil {
		t.Fatal(err)
	}
	for login, may := range map[string]bool{"api": false, "relay": false, "control_plane": false, "projector": true} {
		conn, err := pgx.Connect(t.Context(), as(login))
		if err != nil {
			t.Fatal(err)
		}
		if got := mayBy(t, conn, `CREATE TEMPORARY TABLE x ()`); got != may {
			t.Errorf("%s may make temporary tables: %v, want %v", login, got, may)
		}
		conn.Close(context.Background())
	}
}
