package readmodel

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// The database roles that come with the migrations; neither can log in. Grant
// the first to the user that the projector connects as, the second to the
// API's.
const (
	ProjectorRole = "accountexport_projector" // owns the tables
	ReaderRole    = "accountexport_reader"    // reads documents and checkpoints, no parked messages
)

// Migrate brings the database to this program's schema. It may be repeated,
// and by several programs at once. The user needs the right to create roles
// the first time, or the two roles granted beforehand.
func Migrate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := prepare(ctx, conn); err != nil {
		return fmt.Errorf("migrate: roles and schema: %w", err)
	}
	m, err := migrate.NewMigrator(ctx, conn, "export.schema_version")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := m.LoadMigrations(files); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := m.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// prepare creates what the migrations rely on, and becomes the role that owns
// what they create. Roles belong to the whole server, so another database's
// migration may be creating them right now.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
SELECT pg_advisory_lock(hashtext('accountexport roles'));
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['accountexport_projector', 'accountexport_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
            END;
        END IF;
    END LOOP;
    BEGIN
        EXECUTE format('GRANT accountexport_projector TO %I', current_user);
    EXCEPTION WHEN insufficient_privilege THEN -- somebody else has granted it, or SET ROLE says so
    END;
    IF NOT has_database_privilege('accountexport_projector', current_database(), 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON DATABASE %I TO accountexport_projector', current_database());
    END IF;
END
$$;
SELECT pg_advisory_unlock(hashtext('accountexport roles'));
SET ROLE accountexport_projector;
CREATE SCHEMA IF NOT EXISTS export`)
	return err
}
