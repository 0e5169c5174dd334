package admin_test

import (
	"context"
	"testing"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestLostRowIsFoldedUnderTheLock: nobody writes, so what was folded of a
// lost row before its partition was locked is what there is. It is folded once
// more, while the partition's commits wait, however many messages it has.
func TestLostRowIsFoldedUnderTheLock(t *testing.T) {
	log := readmodeltest.NewBusyLog(8, 300, workload.Config{Accounts: 4})
	pool, s := readmodeltest.Open(t)
	log.Project(t, s, engine.Options{})
	var some events.UUID
	for id := range log.CountConsumed(t) {
		some = id
	}
	readmodeltest.Exec(t, pool, `DELETE FROM export_g1.account_export WHERE account_id = '`+some.String()+`'`)
	locked := 0
	read := func(ctx context.Context, id events.UUID, after, upTo uint64, each func(projections.Message) error) error {
		if _, err := pool.Exec(ctx, `SELECT FROM export.checkpoints WHERE generation = 1 FOR UPDATE NOWAIT`); err != nil {
			locked++
		}
		return log.ReadAccount(ctx, id, after, upTo, each)
	}
	done, err := admin.RefoldAccounts(t.Context(), pool, []events.UUID{some}, false, read)
	if err != nil || len(done.Changed) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if locked > 0 {
		t.Errorf("%d folds were made while the partition was locked", locked)
	}
}
