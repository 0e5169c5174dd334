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

// TestRollbackIsNotInItsOwnWay: an erasure clears the generation that is rolled back
// to just before the cut-over takes its locks. Catching up inside the cut-over is then
// fenced and begins again, as cmd/projector has it. That must not wait for the
// generation's row, which the cut-over itself has locked: neither would end, while the
// live generation's checkpoints are held.
func TestRollbackIsNotInItsOwnWay(t *testing.T) {
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
	source := readmodeltest.NewGrowing(log)
	p := engine.New(source, reviver, engine.Options{Logger: readmodeltest.Quiet})
	defer p.Close()
	toEnd := func(ctx context.Context) error { // as cmd/projector has it
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
	source.Grow(whole)
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
