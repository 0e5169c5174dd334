package admin_test

import (
	"fmt"
	"testing"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestWhatIsEndedForOthersIsTriedAgain: the acts of operators outlive serialization
// failures and deadlocks, also several in a row, and return them where they do not
// end.
func TestWhatIsEndedForOthersIsTriedAgain(t *testing.T) {
	log := readmodeltest.NewBusyLog(8, 300, workload.Config{Accounts: 4})
	pool, s := readmodeltest.Open(t)
	log.Project(t, s, engine.Options{})
	var some events.UUID
	for id := range log.CountConsumed(t) {
		some = id
	}
	refold := func() error {
		if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET parked = parked + 1 WHERE account_id = $1`, [16]byte(some)); err != nil {
			t.Fatal(err)
		}
		_, err := admin.RefoldAccounts(t.Context(), pool, []events.UUID{some}, false, log.ReadAccount)
		return err
	}
	clear := func() error {
		_, err := admin.ClearAccount(t.Context(), pool, admin.AccountErasure{Account: some, Position: 1, Mentions: func(...[]byte) bool { return false }})
		return err
	}
	for _, c := range []struct {
		what, table string
		do          func() error
	}{
		{"refold", "export.checkpoints", refold},
		{"clear", "export.checkpoints", clear},
		{"owe", "export.erasures_owed", func() error { return admin.CheckErasable(t.Context(), pool) }},
		{"import", "export.erasures", func() error {
			n, err := admin.ImportErasures(t.Context(), pool, []admin.Erasure{{Account: events.UUID{1}, Position: 1, Stream: "S"}})
			if err == nil && n != 1 {
				err = fmt.Errorf("%d entered", n)
			}
			return err
		}},
	} {
		for _, code := range []string{"40001", "40P01"} {
			readmodeltest.FailWrites(t, pool, c.table, code, 3)
			if err := c.do(); err != nil {
				t.Errorf("%s, ended three times with %s: %v", c.what, code, err)
			}
			if c.what == "import" { // it can be repeated only once
				break
			}
		}
		readmodeltest.FailWrites(t, pool, c.table, "40001", 1000)
		if err := c.do(); err == nil {
			t.Errorf("%s: ended again and again, and nothing is said", c.what)
		}
		if _, err := pool.Exec(t.Context(), `DROP TRIGGER ended ON `+c.table); err != nil {
			t.Fatal(err)
		}
	}
}
