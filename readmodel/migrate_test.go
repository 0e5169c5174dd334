package readmodel_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/postgres"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestMigratingHoldsNoReaderUp: a migration has to change a table that an old
// transaction reads. Reads of documents, which read that table as well, go on.
func TestMigratingHoldsNoReaderUp(t *testing.T) {
	url := postgres.TestDatabase(t)
	if err := readmodel.MigrateTo(t.Context(), url, 2); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), `
INSERT INTO export.generations (generation, state, version_major, version_minor, stream_name, stream_created, refolded_minor, partitions)
VALUES (1, 'live', 1, 0, 'CONTROL_PLANE', now(), 0, 4)`); err != nil {
		t.Fatal(err)
	}
	old := readmodeltest.BeginRead(t, pool, `SELECT count(*) FROM export.generations`)
	migrated := make(chan error, 1)
	go func() { migrated <- readmodel.Migrate(t.Context(), pool.Config().ConnString()) }()
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		var live bool
		if err := pool.QueryRow(ctx, `SELECT state = 'live' FROM export.generations`).Scan(&live); err != nil || !live {
			t.Errorf("meanwhile: %v, %v", live, err)
		}
		cancel()
	}
	select {
	case err := <-migrated:
		t.Fatalf("it was migrated while it was read: %v", err)
	default:
	}
	if err := old.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Error(err)
	}
}

// TestMigrateTwiceAtOnce: migrating may be repeated, and done by several programs at
// once, in several databases of one server, which share the roles.
func TestMigrateTwiceAtOnce(t *testing.T) {
	urls := []string{postgres.TestDatabase(t), postgres.TestDatabase(t), postgres.TestDatabase(t)}
	errs := make(chan error, 12)
	for i := range cap(errs) {
		go func() { errs <- readmodel.Migrate(t.Context(), urls[i%len(urls)]) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestNewerSchemaIsNamed: a program that meets the schema of a newer one changes nothing, and says
// which is which.
func TestNewerSchemaIsNamed(t *testing.T) {
	url := postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), `UPDATE export.schema_version SET version = 9999`); err != nil {
		t.Fatal(err)
	}
	err = readmodel.Migrate(t.Context(), url)
	if err == nil || !strings.Contains(err.Error(), "the schema is of version 9999") || !strings.Contains(err.Error(), "a newer program") {
		t.Errorf("it says %v", err)
	}
	var version int
	if err := pool.QueryRow(t.Context(), `SELECT version FROM export.schema_version`).Scan(&version); err != nil || version != 9999 {
		t.Errorf("the schema is of version %d now, %v", version, err)
	}
}
