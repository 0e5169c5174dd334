package readmodel_test

import (
	"accountexport/readmodel"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// TestReaderRoleReadsDocumentsOnly: what the API's role can do, and what it
// cannot.
func TestReaderRoleReadsDocumentsOnly(t *testing.T) {
	pool, s := open(t)
	a := newAccount(t, s, acquire(t, s), someone)
	a.register()
	if err := a.commit(freeTier); err != nil {
		t.Fatal(err)
	}
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["role"] = readmodel.ReaderRole
	reader, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if m, doc := read(t, readmodel.NewExports(reader), a.id); m.State != readmodel.Complete || doc == "" {
		t.Errorf("reads %+v", m)
	}
	for _, sql := range []string{`SELECT * FROM export_g1.parked`, `SELECT * FROM export_g1.account_waiting`,
		`UPDATE export.checkpoints SET position = 0`, `DELETE FROM export_g1.account_export`, `CREATE TABLE export_g1.x ()`} {
		if _, err := reader.Exec(t.Context(), sql); err == nil {
			t.Errorf("may %s", sql)
		}
	}
}
