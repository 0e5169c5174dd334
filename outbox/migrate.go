package outbox

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema outbox to this program's version, in one transaction.
// It may be repeated, and by several programs at once. The files in migrations do
// the same without Go, each in a transaction:
//
//	psql --single-transaction --set ON_ERROR_STOP=1 --file outbox/migrations/001_outbox.sql
//
// A schema that is newer stays as it is: what older programs use stays in it.
func Migrate(ctx context.Context, conn *pgx.Conn) error {
	files, err := fs.Glob(migrations, "migrations/*.sql") // in the order of their names
	if err != nil {
		return fmt.Errorf("migrate the outbox: %w", err)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('outbox migrations'))`); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, tx)
		if err != nil {
			return err
		}
		for i := version; i < len(files); i++ {
			sql, err := migrations.ReadFile(files[i])
			if err != nil {
				return err
			}
			if err := tx.Conn().PgConn().Exec(ctx, string(sql)).Close(); err != nil {
				return fmt.Errorf("%s: %w", files[i], err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("migrate the outbox: %w", err)
	}
	return nil
}

// schemaVersion is how many migrations were run.
func schemaVersion(ctx context.Context, tx pgx.Tx) (version int, err error) {
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('outbox.schema_version') IS NOT NULL`).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT max(version) FROM outbox.schema_version`).Scan(&version)
	return version, err
}
