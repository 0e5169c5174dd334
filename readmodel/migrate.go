package readmodel

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/tern/v2/migrate"

	"accountexport/readmodel/internal/pg"
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
// and by several programs at once. Where an old transaction holds what a
// migration has to lock, it tries again until ctx ends, and holds nobody up. The
// user needs the right to create roles the first time, or the two roles granted
// beforehand.
func Migrate(ctx context.Context, url string) error { return migrateTo(ctx, url, newest) }

// MigrateBy does the same over a connection of this configuration.
func MigrateBy(ctx context.Context, cfg *pgx.ConnConfig) error { return migrateOver(ctx, cfg, newest) }

// newest stands for the last version of the schema.
const newest = -1

func migrateTo(ctx context.Context, url string, version int32) error {
	cfg, err := pgxpool.ParseConfig(url) // which may say how many connections there are to be
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return migrateOver(ctx, cfg.ConnConfig, version)
}

func migrateOver(ctx context.Context, cfg *pgx.ConnConfig, version int32) error {
	conn, err := pg.Connect(ctx, cfg.Copy())
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer pg.CloseWithTimeout(ctx, conn)
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
	// A migration that waits for a lock has all readers behind it. Each one ends
	// with all settings being reset.
	var unsettled error
	settings := func() {
		if unsettled = pg.ApplySettings(ctx, conn, true); unsettled == nil {
			_, unsettled = conn.Exec(ctx, `SET lock_timeout = '50ms'`)
		}
	}
	m.OnStart = func(int32, string, string, string) { settings() }
	if settings(); unsettled != nil {
		return fmt.Errorf("migrate: %w", unsettled)
	}
	if version == newest {
		version = int32(len(m.Migrations))
	}
	err = pg.RetryLocked(ctx, func() error {
		unsettled = nil
		err := m.MigrateTo(ctx, version)
		return errors.Join(err, unsettled)
	})
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if version < int32(len(m.Migrations)) {
		return nil
	}
	first, err := SelectGenerations(ctx, conn, `WHERE format < $1`, FormatCounted)
	for _, g := range first {
		if err == nil {
			err = AddCountColumns(ctx, conn, g.Number)
		}
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// prepare creates what the migrations rely on, and becomes the role that owns
// what they create. Roles belong to the whole server, so another database's
// migration may be changing them right now, which the server calls an internal
// error.
func prepare(ctx context.Context, conn *pgx.Conn) (err error) {
	for range 20 {
		_, err = conn.Exec(ctx, prepareSQL)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "XX000" { // tuple concurrently updated
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

// One transaction, as statements sent together are; so the lock is held until
// all is committed.
const prepareSQL = `
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
    EXCEPTION WHEN insufficient_privilege THEN -- somebody else has granted it, or SET ROLE says so
    END;
    IF NOT has_database_privilege('accountexport_projector', current_database(), 'CREATE')
        OR NOT has_database_privilege('accountexport_projector', current_database(), 'TEMPORARY') THEN
        EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO accountexport_projector', current_database());
    END IF;
END
$$;
SET ROLE accountexport_projector;
CREATE SCHEMA IF NOT EXISTS export`
