package readmodel_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
)

// TestWhatOneHasYetToHearOfIsNoDifference: an account, or a tier, is missing or
// new only where the other generation has come as far.
func TestWhatOneHasYetToHearOfIsNoDifference(t *testing.T) {
	pool, live := open(t)
	builder := readmodel.NewBuilder(pool, "builder", false, quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	for _, in := range []struct {
		store *readmodel.Store
		id    string
	}{{live, someone}, {builder, team}} {
		a := newAccount(t, in.store, acquire(t, in.store), in.id)
		a.register()
		if err := a.commit(freeTier); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, want readmodel.Comparison) {
		t.Helper()
		got, err := readmodel.Compare(t.Context(), pool, 1, 2)
		if err != nil || got.Missing != want.Missing || got.New != want.New || got.Moving != want.Moving || got.Tiers != want.Tiers {
			t.Errorf("%s: %+v, %v; want %+v", when, got, err, want)
		}
	}
	check("both have most before them", readmodel.Comparison{Moving: 2})
	ahead(t, pool, 1)
	check("the first has come further", readmodel.Comparison{Moving: 1, New: 1})
	ahead(t, pool, 2)
	check("both have", readmodel.Comparison{Missing: 1, New: 1})
	if _, err := pool.Exec(t.Context(), `DELETE FROM export_g2.quota_tiers`); err != nil {
		t.Fatal(err)
	}
	check("a tier is gone", readmodel.Comparison{Missing: 1, New: 1, Tiers: 1})
	if _, err := pool.Exec(t.Context(), `
INSERT INTO export_g2.quota_tiers SELECT 'another', partition, position, body FROM export_g1.quota_tiers;
INSERT INTO export_g2.quota_tiers SELECT id, partition, position - 1, body FROM export_g1.quota_tiers`); err != nil {
		t.Fatal(err)
	}
	check("a tier is new, and one is behind", readmodel.Comparison{Missing: 1, New: 1, Tiers: 2})
}

// TestLaggingIsNoDifference: where an account's positions differ, it is on its
// way if the generation that is behind has yet to read what the other has, and
// differs if not: a message is gone.
func TestLaggingIsNoDifference(t *testing.T) {
	pool, live := open(t)
	builder := readmodel.NewBuilder(pool, "builder", false, quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	for i, store := range []*readmodel.Store{live, builder} {
		a := newAccount(t, store, acquire(t, store), someone)
		a.at = uint64(i)
		a.register()
		if err := a.commit(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, moving, different int64) {
		t.Helper()
		got, err := readmodel.Compare(t.Context(), pool, 1, 2)
		if err != nil || got.Moving != moving || got.Different != different || got.Sections["position"] != different {
			t.Errorf("%s: %+v, %v; want %d moving, %d different", when, got, err, moving, different)
		}
	}
	check("both have most before them", 1, 0)
	ahead(t, pool, 2)
	check("the second has come further", 1, 0)
	ahead(t, pool, 1)
	check("both have", 0, 1)
}

// ahead moves all of a generation's checkpoints on.
func ahead(t *testing.T, pool *pgxpool.Pool, generation int) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET position = 100 WHERE generation = $1`, generation); err != nil {
		t.Fatal(err)
	}
}
