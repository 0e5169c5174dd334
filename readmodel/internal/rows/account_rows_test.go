package rows_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/internal/rows"
)

// TestRowsAreUpdatedByTheirKey: a plan that is made while the table is known to be empty
// is kept when it is not, so it has to go by the primary key then as well.
func TestRowsAreUpdatedByTheirKey(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	own := readmodeltest.Acquire(t, s)
	a := readmodeltest.NewAccount(t, s, own, readmodeltest.AccountID)
	for _, size := range []string{"never analyzed", "empty", "one row"} {
		if size == "one row" {
			a.Register()
			if err := a.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		if size != "never analyzed" {
			readmodeltest.Exec(t, pool, `VACUUM ANALYZE export_g1.account_export`)
		}
		var plan []string
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			for _, sql := range []string{pg.PreferIndexes, `SET LOCAL plan_cache_mode = force_generic_plan`,
				`PREPARE updating AS ` + readmodel.InSchema(1, rows.UpdateAccounts)} {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					return err
				}
			}
			found, err := tx.Query(t.Context(), `EXPLAIN EXECUTE updating (`+strings.Repeat("NULL, ", 19)+`1)`, pgx.QueryExecModeExec)
			if err == nil {
				plan, err = pgx.CollectRows(found, pgx.RowTo[string])
			}
			if err == nil {
				_, err = tx.Exec(t.Context(), `DEALLOCATE updating`)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(plan, "\n"); !strings.Contains(all, "Index Cond: (account_id = ANY (ARRAY[u.id]))") || strings.Contains(all, "Seq Scan") {
			t.Errorf("%s:\n%s", size, all)
		}
	}
}

// TestUpdateOfMissingRow: a row that was removed beside the projector, which nothing of
// this program does without fencing it, fails the commit instead of being left out.
func TestUpdateOfMissingRow(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	readmodeltest.Exec(t, pool, `DELETE FROM export_g1.account_export`)
	a.Apply(events.NewUserEmailVerified(a.Meta(), a.ID))
	if err := a.Commit(); err == nil || !strings.Contains(err.Error(), "only 0 of the accounts have the row that they were loaded from") {
		t.Errorf("%v, want an error that says how many rows there are", err)
	}
	var position int64
	if err := pool.QueryRow(t.Context(), `SELECT max(position) FROM export.checkpoints`).Scan(&position); err != nil || position != 2 {
		t.Errorf("the checkpoint is at %d (%v), want 2", position, err)
	}
}
