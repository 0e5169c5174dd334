package admin_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestLostRowEndedForAnother: the refold of a lost row is ended once by the
// server for the sake of another transaction. It is tried again, and then says
// that neither the stream nor the read model knows the account.
func TestLostRowEndedForAnother(t *testing.T) {
	log := readmodeltest.NewBusyLog(8, 300, workload.Config{Accounts: 4})
	pool, s := readmodeltest.Open(t)
	log.Project(t, s, engine.Options{})
	var some events.UUID
	for id := range log.CountConsumed(t) {
		some = id
	}
	readmodeltest.Exec(t, pool, `DELETE FROM export_g1.account_export WHERE account_id = '`+some.String()+`'`)
	readmodeltest.FailWrites(t, pool, "export.checkpoints", "40P01", 1)
	done, err := admin.RefoldAccounts(t.Context(), pool, []events.UUID{some}, false, log.ReadAccount)
	if err != nil || len(done.Changed) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestRollbackWaitsForItself: an erasure clears the generation that is
// rolled back to just before the cut-over takes its locks. The catching up in it
// is fenced and begins again, as cmd/projector has it, and for that makes the
// generation "building" once more: its row is locked by the cut-over itself, and
// neither ends, while the live generation's checkpoints are held.
func TestRollbackWaitsForItself(t *testing.T) {
	whole := readmodeltest.NewBusyLog(8, 400, workload.Config{Accounts: 6})
	log := whole[:300]
	pool, live := readmodeltest.Open(t)
	log.Project(t, live, engine.Options{})
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	log.Project(t, builder, engine.Options{})
	builder.Close(t.Context())
	if err := admin.Cutover(t.Context(), pool, 1, 2, false, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	reviver := store.NewRollback(pool, "reviver", 1, readmodeltest.Quiet)
	defer reviver.Close(context.Background())
	source := &readmodeltest.GrowingLog{MessageLog: log}
	p := engine.New(source, reviver, engine.Options{Logger: readmodeltest.Quiet})
	defer p.Close()
	toEnd := func(ctx context.Context) error { // of cmd/projector/rebuild.go
		err := p.RunToEnd(ctx)
		for errors.Is(err, engine.ErrFenced) && ctx.Err() == nil {
			err = p.RunToEnd(ctx)
		}
		return err
	}
	if err := toEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	var some events.UUID
	for id := range log.CountConsumed(t) {
		some = id
	}
	// The projector of the live generation and the roll-back see more messages.
	source.MessageLog = whole
	if _, err := admin.ClearAccount(t.Context(), pool, admin.AccountErasure{Account: some, Position: 1, Stream: readmodeltest.Stream, Mentions: func(...[]byte) bool { return false }}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	err := admin.Cutover(ctx, pool, 2, 1, false, toEnd)
	if errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 15*time.Second {
		t.Errorf("rolling back has not ended within %v: %v", time.Since(began), err)
	}
	t.Log(fmt.Sprint(err))
}
