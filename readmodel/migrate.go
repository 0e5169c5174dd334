package readmodel

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/tern/v2/migrate"

	"accountexport/readmodel/internal/pg"
)

//go:embed migrations/*.sql
var migrations embed.FS

// The database roles that come with the migrations; neither can log in. Grant
// the first to the user that the projector connects as, and the second to the
// API's.
const (
	ProjectorRole = "accountexport_projector" // owns the tables
	ReaderRole    = "accountexport_reader"    // may read documents and checkpoints, and no parked messages
)

// Migrate brings the database to this program's schema. It may be repeated, and run
// by several programs at once. Where an old transaction holds what a migration has
// to lock, it tries again until ctx ends, and readers never queue behind it for
// more than 50 ms. Cut off, it leaves whole migrations and can be repeated. The
// user needs the right to create roles the first time, or the two roles granted
// beforehand.
func Migrate(ctx context.Context, url string) error { return migrateTo(ctx, url, newest) }

// MigrateBy is [Migrate] over a connection of this configuration.
func MigrateBy(ctx context.Context, cfg *pgx.ConnConfig) error { return migrateOver(ctx, cfg, newest) }

// newest stands for the last version of the schema.
const newest = -1

func migrateTo(ctx context.Context, url string, version int32) error {
	cfg, err := pgxpool.ParseConfig(url) // the URL may have parameters of a pool
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return migrateOver(ctx, cfg.ConnConfig, version)
}

// migrateOver migrates to a version. Only the newest one gets the columns that
// [EnsureCountColumns] adds to generations that exist already.
func migrateOver(ctx context.Context, cfg *pgx.ConnConfig, version int32) error {
	conn, err := pg.Connect(ctx, cfg.Copy())
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer pg.CloseWithTimeout(ctx, conn)
	if err := prepareDatabase(ctx, conn); err != nil {
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
	current, err := m.GetCurrentVersion(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if known := int32(len(m.Migrations)); current > known {
		return fmt.Errorf("migrate: the schema is of version %d, and this program knows those up to %d: a newer program has migrated the database. "+
			"Nothing was changed; provision with that program (doc/operating.md, \"Upgrade\", says what an older one may do meanwhile)", current, known)
	}
	// A migration that waits for a lock has all readers queue behind it, so it waits
	// for 50 ms at most. The migrator resets all settings after each migration.
	var settingsErr error
	applySettings := func() {
		if settingsErr = pg.ApplySettings(ctx, conn, true); settingsErr == nil {
			_, settingsErr = conn.Exec(ctx, `SET lock_timeout = '50ms'`)
		}
	}
	m.OnStart = func(int32, string, string, string) { applySettings() }
	if applySettings(); settingsErr != nil {
		return fmt.Errorf("migrate: %w", settingsErr)
	}
	if version == newest {
		version = int32(len(m.Migrations))
	}
	err = pg.RetryLocked(ctx, func() error {
		settingsErr = nil
		err := m.MigrateTo(ctx, version)
		return errors.Join(err, settingsErr)
	})
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if version < int32(len(m.Migrations)) {
		return nil
	}
	plain, err := SelectGenerations(ctx, conn, `WHERE format < $1`, FormatCounted)
	for _, g := range plain {
		if err == nil {
			err = EnsureCountColumns(ctx, conn, g)
		}
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// prepareDatabase creates the roles and the schema that the migrations rely on, and
// sets the session's role to the one that is to own what they create. Roles belong
// to the whole server, so a migration of another of its databases may be changing
// them at the same time; the server calls that an internal error, and it is tried
// again for a second.
func prepareDatabase(ctx context.Context, conn *pgx.Conn) (err error) {
	for range 20 {
		_, err = conn.Exec(ctx, prepareDatabaseSQL)
		if pg.Code(err) != "XX000" { // internal_error: tuple concurrently updated
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
	return err
}

// prepareDatabaseSQL is one transaction, as statements that are sent together are, so
// its lock is held until all of it is committed.
const prepareDatabaseSQL = `
SELECT pg_advisory_xact_lock(hashtext('accountexport roles'));
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
    EXCEPTION WHEN insufficient_privilege THEN -- it was granted beforehand, or SET ROLE below fails and says so
    END;
    IF NOT has_database_privilege('accountexport_projector', current_database(), 'CREATE')
        OR NOT has_database_privilege('accountexport_projector', current_database(), 'TEMPORARY') THEN
        EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO accountexport_projector', current_database());
    END IF;
END
$$;
SET ROLE accountexport_projector;
CREATE SCHEMA IF NOT EXISTS export`
