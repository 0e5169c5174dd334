package export_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestDroppingHoldsNoReaderUp: while an old transaction reads a generation that is to
// be dropped, replicas that still take it for the live one, and all others, go on
// reading. Once the transaction has ended, the generation is dropped.
func TestDroppingHoldsNoReaderUp(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	idle := export.NewReader(pool)
	_, before := readmodeltest.Read(t, idle, a.ID) // from now on this reader takes generation 1 for the live one
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	own, err := builder.Acquire(t.Context(), readmodeltest.Stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO export_g2.account_export SELECT * FROM export_g1.account_export`,
		`INSERT INTO export_g2.quota_tiers SELECT * FROM export_g1.quota_tiers`,
		`UPDATE export.checkpoints n SET position = o.position, as_of = o.as_of FROM export.checkpoints o
WHERE n.generation = 2 AND o.generation = 1 AND n.partition = o.partition`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	old := readmodeltest.BeginRead(t, pool, `SELECT count(*) FROM export_g1.account_export`)
	if err := admin.Cutover(t.Context(), pool, 1, own.Generation, false, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := admin.Drop(t.Context(), pool, 2); !errors.Is(err, readmodel.ErrLive) {
		t.Errorf("the live one: %v", err)
	}
	dropped := make(chan error, 1)
	go func() { dropped <- admin.Drop(t.Context(), pool, 1) }()
	fresh := export.NewReader(pool)
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); { // dropping is attempted twice at least
		for _, x := range []*export.Reader{idle, fresh} {
			if _, doc := readmodeltest.Read(t, x, a.ID); doc != before {
				t.Fatalf("meanwhile: %s", doc)
			}
		}
		idle = export.NewReader(pool)
		export.Believe(idle, readmodel.Generation{Number: 1, Major: 1})
	}
	select {
	case err := <-dropped:
		t.Fatalf("it was dropped while it was read: %v", err)
	default:
	}
	if err := old.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-dropped; err != nil {
		t.Error(err)
	}
	if _, doc := readmodeltest.Read(t, idle, a.ID); doc != before {
		t.Errorf("afterwards: %s", doc)
	}
	all, err := readmodel.Generations(t.Context(), pool)
	if err != nil || len(all) != 1 {
		t.Errorf("%d generations are left, %v", len(all), err)
	}
}
