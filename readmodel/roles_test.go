package readmodel_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestReaderRoleReadsDocumentsOnly: the API's role can read documents, and can neither
// read parked messages nor write anything.
func TestReaderRoleReadsDocumentsOnly(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	reader := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		cfg.ConnConfig.RuntimeParams["role"] = readmodel.ReaderRole
	})
	if m, doc := readmodeltest.Read(t, export.NewReader(reader), a.ID); m.State != export.Complete || doc == "" {
		t.Errorf("reads %+v", m)
	}
	for _, sql := range []string{`SELECT * FROM export_g1.parked`, `SELECT * FROM export_g1.account_waiting`,
		`UPDATE export.checkpoints SET position = 0`, `DELETE FROM export_g1.account_export`, `CREATE TABLE export_g1.x ()`,
		`SELECT account_id FROM export.erasures_owed`, `SELECT emails FROM export.erasures_owed`, `SELECT backend FROM export.members`, `DELETE FROM export.problems`} {
		if _, err := reader.Exec(t.Context(), sql); err == nil {
			t.Errorf("may %s", sql)
		}
	}
}
