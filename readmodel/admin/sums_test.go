package admin_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

var hostile = workload.Config{Accounts: 5, HostileShare: 0.1, ErasureShare: 0.001, LargeShare: 0.01}

// TestRowsSayWhatWentIntoThem: however a stream is divided into batches, with states
// evicted and loaded between any two, with COPY or without, each row counts the
// account's messages, and its digest is that of everything that is stored.
func TestRowsSayWhatWentIntoThem(t *testing.T) {
	log := readmodeltest.NewBusyLog(testrun.Seed(t), 2000, hostile)
	pool, live := readmodeltest.Open(t)
	log.Project(t, live, engine.Options{CacheBytes: 1, Lanes: 2, Batch: engine.Bound{Events: 60, Bytes: 1 << 20}})
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	log.Project(t, builder, engine.Options{CacheBytes: 1 << 20, Batch: engine.Bound{Events: 100_000, Bytes: 1 << 30}})
	want := log.CountConsumed(t)
	ids := slices.Collect(maps.Keys(want))
	one, other := readmodeltest.RecordedSums(t, pool, 1), readmodeltest.RecordedSums(t, pool, 2)
	if diff := cmp.Diff(one, other); diff != "" {
		t.Errorf("the same stream, cut in two ways:\n%s", diff)
	}
	for generation, rows := range map[int64]map[events.UUID]admin.Sum{1: one, 2: other} {
		stored, err := admin.SumUp(t.Context(), pool, generation, ids)
		if err != nil {
			t.Fatal(err)
		}
		for id, n := range want {
			if rows[id].Messages != n || rows[id].Digest != stored[id] {
				t.Errorf("generation %d: account %s says %+v, want %d messages, and of what is stored %s", generation, id, rows[id], n, stored[id])
			}
		}
		if len(rows) != len(want) {
			t.Errorf("generation %d: %d rows, want %d", generation, len(rows), len(want))
		}
	}
	var pages, waiting, parked, erased int
	if err := pool.QueryRow(t.Context(), `
SELECT (SELECT count(*) FROM export_g1.account_export_pages), (SELECT count(*) FROM export_g1.account_waiting),
    (SELECT count(*) FROM export_g1.parked WHERE account_id IS NOT NULL),
    (SELECT count(*) FROM export_g1.account_export WHERE erased_at IS NOT NULL)`).Scan(&pages, &waiting, &parked, &erased); err != nil ||
		pages < 20 || waiting == 0 || parked == 0 || erased == 0 {
		t.Errorf("%d pages, %d waiting, %d parked, %d erased, %v: the stream is too short to say anything", pages, waiting, parked, erased, err)
	}
}

// TestCountOfAnotherPositionIsNone: a program that does not know of the count moves
// the position alone. What the row records of the position before does not hold then,
// and is not added to. Once a fold has found what is stored, the row records that and
// counts on, whichever program has its state in memory.
func TestCountOfAnotherPositionIsNone(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	row := func(when string, messages uint64) {
		t.Helper()
		sums, err := admin.ReadSums(t.Context(), pool, []events.UUID{a.ID})
		if err != nil || sums[a.ID].Messages != messages || sums[a.ID].Position != a.Position {
			t.Errorf("%s: %+v, %v; want %d messages at %d", when, sums[a.ID], err, messages, a.Position)
		}
	}
	row("written from the first message on", 2)
	// Another program writes without this one noticing.
	rename := func() {
		a.Apply(events.NewUserProfileUpdated(a.Meta(), a.ID, events.UserProfileUpdated{Name: events.Some(fmt.Sprint("n", a.Position))}))
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	a.Position++
	if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET position = 3`); err != nil {
		t.Fatal(err)
	}
	row("written by one that does not count", 0)
	rename()
	row("written again", 0)

	stored, err := admin.SumUp(t.Context(), pool, 1, []events.UUID{a.ID})
	if err != nil {
		t.Fatal(err)
	}
	note := func(s admin.Sum) []events.UUID {
		t.Helper()
		other, err := admin.RecordSums(t.Context(), pool, map[events.UUID]admin.Sum{a.ID: s})
		if err != nil {
			t.Fatal(err)
		}
		return other
	}
	if other := note(admin.Sum{Position: a.Position, Messages: 4, Digest: projections.Digest{1, 1}}); len(other) != 1 {
		t.Errorf("a fold that has come to something else: %v", other)
	}
	row("a fold has come to something else", 0)
	note(admin.Sum{Position: a.Position - 1, Messages: 3, Digest: stored[a.ID]})
	row("a fold of fewer messages", 0)
	if other := note(admin.Sum{Position: a.Position, Messages: 4, Digest: stored[a.ID]}); len(other) != 0 {
		t.Errorf("a fold that has come to the same: %v", other)
	}
	row("a fold has come to the same", 4)
	rename() // with a state that was in memory all the time
	row("written since", 5)
	sums, err := admin.ReadSums(t.Context(), pool, []events.UUID{a.ID})
	if err != nil {
		t.Fatal(err)
	}
	if stored, err = admin.SumUp(t.Context(), pool, 1, []events.UUID{a.ID}); err != nil || sums[a.ID].Digest != stored[a.ID] {
		t.Errorf("digest %s, %v; want that of what is stored, %s", sums[a.ID].Digest, err, stored[a.ID])
	}
}
