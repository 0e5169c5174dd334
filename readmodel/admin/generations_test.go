package admin_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/postgres"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// TestGenerationsOfADatabaseWithoutASchema: whoever asks is told that the database is to be
// provisioned, and not that a relation does not exist.
func TestGenerationsOfADatabaseWithoutASchema(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), postgres.TestDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if all, err := admin.ReadGenerations(t.Context(), pool); !errors.Is(err, readmodel.ErrSchemaOutdated) {
		t.Errorf("%d generations, %v", len(all), err)
	}
}
