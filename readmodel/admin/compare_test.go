package admin_test

import (
	"context"
	"testing"

	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestWhatOneHasYetToReadIsNoDifference: an account, or a tier, is missing or new only
// where the other generation has come as far.
func TestWhatOneHasYetToReadIsNoDifference(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	for _, in := range []struct {
		store *store.Store
		id    string
	}{{live, readmodeltest.AccountID}, {builder, readmodeltest.TeamID}} {
		a := readmodeltest.NewAccount(t, in.store, readmodeltest.Acquire(t, in.store), in.id)
		a.Register()
		if err := a.Commit(readmodeltest.FreeTier); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, want admin.Comparison) {
		t.Helper()
		got, err := admin.Compare(t.Context(), pool, 1, 2, readmodeltest.EndlessStream, nil)
		if err != nil || got.Missing != want.Missing || got.New != want.New || got.Pending != want.Pending || got.Tiers != want.Tiers {
			t.Errorf("%s: %+v, %v; want %+v", when, got, err, want)
		}
	}
	check("both have most before them", admin.Comparison{Pending: 2})
	readmodeltest.AdvanceCheckpoints(t, pool, 1)
	check("the first has come further", admin.Comparison{Pending: 1, New: 1})
	readmodeltest.AdvanceCheckpoints(t, pool, 2)
	check("both have", admin.Comparison{Missing: 1, New: 1})
	if _, err := pool.Exec(t.Context(), `DELETE FROM export_g2.quota_tiers`); err != nil {
		t.Fatal(err)
	}
	check("a tier is gone", admin.Comparison{Missing: 1, New: 1, Tiers: 1})
	if _, err := pool.Exec(t.Context(), `
INSERT INTO export_g2.quota_tiers SELECT 'another', partition, position, body FROM export_g1.quota_tiers;
INSERT INTO export_g2.quota_tiers SELECT id, partition, position - 1, body FROM export_g1.quota_tiers`); err != nil {
		t.Fatal(err)
	}
	check("a tier is new, and one is behind", admin.Comparison{Missing: 1, New: 1, Tiers: 2})
}

// TestLaggingIsNoDifference: where an account's positions differ, it is pending if the
// generation that is behind has yet to read what the other one has. If not, it is a
// difference: a message is gone.
func TestLaggingIsNoDifference(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	for i, store := range []*store.Store{live, builder} {
		a := readmodeltest.NewAccount(t, store, readmodeltest.Acquire(t, store), readmodeltest.AccountID)
		a.Position = uint64(i)
		a.Register()
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, moving, different int64) {
		t.Helper()
		got, err := admin.Compare(t.Context(), pool, 1, 2, readmodeltest.EndlessStream, nil)
		if err != nil || got.Pending != moving || got.Different != different || got.Sections["position"] != different {
			t.Errorf("%s: %+v, %v; want %d moving, %d different", when, got, err, moving, different)
		}
	}
	check("both have most before them", 1, 0)
	readmodeltest.AdvanceCheckpoints(t, pool, 2)
	check("the second has come further", 1, 0)
	readmodeltest.AdvanceCheckpoints(t, pool, 1)
	check("both have", 0, 1)
}

// TestWhatTheStreamCannotBringIsADifference: an account that the second generation
// lacks, or has less of, is pending only while the stream reaches as far as what the
// first has. One that is erased in the first alone is about to be erased where the
// ledger knows it. One that another stream has erased is a difference.
func TestWhatTheStreamCannotBringIsADifference(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	own := readmodeltest.Acquire(t, live)
	for i, id := range []string{readmodeltest.AccountID, readmodeltest.TeamID} {
		a := readmodeltest.NewAccount(t, live, own, id)
		a.Position = uint64(10 + 10*i)
		a.Register()
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	b := readmodeltest.NewAccount(t, builder, readmodeltest.Acquire(t, builder), readmodeltest.AccountID)
	b.Register()
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	check := func(when string, end uint64, want admin.Comparison, cost string) {
		t.Helper()
		got, err := admin.Compare(t.Context(), pool, 1, 2, func(context.Context) (uint64, error) { return end, nil }, nil)
		if err != nil || got.Missing != want.Missing || got.Pending != want.Pending || got.ToErase != want.ToErase || got.Different != want.Different || got.Impact() != cost {
			t.Errorf("%s: %+v, %v, %q; want %+v", when, got, err, got.Impact(), want)
		}
	}
	check("the stream goes on", 1000, admin.Comparison{Pending: 2}, "")
	check("it ends before both", 5, admin.Comparison{Missing: 1, Different: 1}, "1 of 2 accounts will answer 404, 1 will go back")
	check("it ends before one of them", 15, admin.Comparison{Missing: 1, Pending: 1}, "1 of 2 accounts will answer 404")
	if _, err := pool.Exec(t.Context(), `UPDATE export.generations SET stream_created = stream_created + interval '1 s' WHERE generation = 2`); err != nil {
		t.Fatal(err)
	}
	check("it is another stream", 1000, admin.Comparison{Missing: 1, Different: 1}, "1 of 2 accounts will answer 404, 1 will go back")
	if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET erased_at = now()`); err != nil {
		t.Fatal(err)
	}
	check("erased in the first alone, and nobody knows", 1000, admin.Comparison{Missing: 1, Different: 1}, "1 of 2 accounts will answer 404, 1 will go back")
	if _, err := pool.Exec(t.Context(), `
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created) SELECT account_id, now(), 10, 'S', now() FROM export_g1.account_export`); err != nil {
		t.Fatal(err)
	}
	check("erased in the first alone, as the ledger knows", 1000, admin.Comparison{Pending: 2, ToErase: 2}, "")
	if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET erased_at = NULL`); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE export_g2.account_export SET erased_at = now(), position = 1000`); err != nil {
		t.Fatal(err)
	}
	check("erased in the second alone, by another stream", 1000, admin.Comparison{Missing: 1, Different: 1},
		"1 of 2 accounts will answer 404, 1 are erased in one of the two alone")
}
