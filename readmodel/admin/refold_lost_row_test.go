package admin_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// loseRow projects a log, and deletes the row of one of its accounts.
func loseRow(t *testing.T) (*pgxpool.Pool, readmodeltest.MessageLog, events.UUID) {
	t.Helper()
	log := readmodeltest.NewBusyLog(8, 300, workload.Config{Accounts: 4})
	pool, s := readmodeltest.Open(t)
	log.Project(t, s, engine.Options{})
	var lost events.UUID
	for id := range log.CountConsumed(t) {
		lost = id
	}
	readmodeltest.Exec(t, pool, `DELETE FROM export_g1.account_export WHERE account_id = '`+lost.String()+`'`)
	return pool, log, lost
}

// TestLostRowIsFoldedUnderTheLock: a lost row was folded before its partition was
// locked. Since nothing has come since, the messages are not read again while the
// partition's commits wait, however many they are.
func TestLostRowIsFoldedUnderTheLock(t *testing.T) {
	pool, log, id := loseRow(t)
	locked := 0
	read := func(ctx context.Context, id events.UUID, after, upTo uint64, each func(projections.Message) error) error {
		if _, err := pool.Exec(ctx, `SELECT FROM export.checkpoints WHERE generation = 1 FOR UPDATE NOWAIT`); err != nil {
			locked++
		}
		return log.ReadAccount(ctx, id, after, upTo, each)
	}
	done, err := admin.RefoldAccounts(t.Context(), pool, []events.UUID{id}, false, read)
	if err != nil || len(done.Changed) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if locked > 0 {
		t.Errorf("%d folds were made while the partition was locked", locked)
	}
}

// TestRefoldOfALostRowOutlivesADeadlock: the server ends the refold of a lost row once
// in favour of another transaction. The refold is attempted again, and makes the row.
func TestRefoldOfALostRowOutlivesADeadlock(t *testing.T) {
	pool, log, id := loseRow(t)
	readmodeltest.FailWrites(t, pool, "export.checkpoints", "40P01", 1)
	done, err := admin.RefoldAccounts(t.Context(), pool, []events.UUID{id}, false, log.ReadAccount)
	if err != nil || len(done.Changed) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}
