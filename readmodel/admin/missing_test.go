package admin_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// missing is what the database knows of a stream, which has to have a baseline.
func missing(t *testing.T, pool *pgxpool.Pool, info engine.StreamInfo) admin.Missing {
	t.Helper()
	m, err := admin.FindMissing(t.Context(), pool, info)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func unexplained(t *testing.T, pool *pgxpool.Pool, info engine.StreamInfo, gone engine.Ranges) string {
	t.Helper()
	those, err := admin.Unexplained(t.Context(), pool, info, gone)
	if err != nil {
		t.Fatal(err)
	}
	return those.String()
}

// TestRemovalsAreNotedOnce: what a stream lacks at its baseline is known. A position
// that is about to be removed counts once, however often it is noted, and of one
// stream only. What was not noted is unexplained.
func TestRemovalsAreNotedOnce(t *testing.T) {
	ctx := t.Context()
	pool, _ := readmodeltest.Open(t)
	created := time.Date(2026, 3, 1, 0, 0, 0, 123456789, time.UTC)
	info := engine.StreamInfo{Name: "S", Created: created, First: 11, Last: 100, Messages: 85}
	gone := engine.RangesOf(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 21, 30, 40, 50)
	if _, err := admin.FindMissing(ctx, pool, info); !errors.Is(err, readmodel.ErrNotFound) {
		t.Fatalf("before: %v", err)
	}
	if err := admin.RecordRemovals(ctx, pool, info, []uint64{60}); err == nil {
		t.Error("removals of a stream that was not taken on are noted")
	}
	for range 2 {
		if err := admin.RecordMissing(ctx, pool, info, gone); err != nil {
			t.Fatal(err)
		}
		info.Messages, gone = 0, nil // only the first baseline counts
	}
	info.Messages, gone = 85, engine.RangesOf(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 21, 30, 40, 50)
	if m := missing(t, pool, info); m.Explained != 15 {
		t.Errorf("%d are explained, want 15", m.Explained)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			var positions []uint64
			for p := uint64(60); p < 70+uint64(i); p++ {
				positions = append(positions, p)
			}
			if err := admin.RecordRemovals(ctx, pool, info, positions); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if m := missing(t, pool, info); m.Explained != 15+17 {
		t.Errorf("%d are explained, want 32", m.Explained)
	}
	if those := unexplained(t, pool, info, gone.Union(engine.Ranges{{First: 58, Last: 80}})); those != "58–59, 77–80" {
		t.Errorf("unexplained are %s", those)
	}
	other := info
	other.Created = created.Add(time.Second)
	if err := admin.RecordMissing(ctx, pool, other, nil); err != nil {
		t.Fatal(err)
	}
	if those := unexplained(t, pool, other, engine.RangesOf(60, 61)); those != "60–61" {
		t.Errorf("of another stream unexplained are %s", those)
	}
}

// TestWhatIsAcceptedIsKnown: what was accepted as lost is not missed again, also where
// the server counts it as gone only later. What an erasure had noted and has yet to
// remove still counts, once, unless it was noted a day ago.
func TestWhatIsAcceptedIsKnown(t *testing.T) {
	ctx := t.Context()
	pool, _ := readmodeltest.Open(t)
	info := engine.StreamInfo{Name: "S", Created: time.Now(), First: 1, Last: 100, Messages: 100}
	if err := admin.RecordMissing(ctx, pool, info, nil); err != nil {
		t.Fatal(err)
	}
	if err := admin.RecordRemovals(ctx, pool, info, []uint64{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, `UPDATE export.removals SET booked_at = now() - interval '2 days' WHERE position = 4`); err != nil {
		t.Fatal(err)
	}
	if err := admin.SetUndelivered(ctx, pool, info, engine.RangesOf(90)); err != nil {
		t.Fatal(err)
	}
	if m := missing(t, pool, info); m.Explained != 4 || m.Undelivered.String() != "90" {
		t.Errorf("before: %+v", m)
	}
	info.Messages = 97 // 1 and 2 have been removed by then, and 50 is lost
	gone := engine.RangesOf(1, 2, 50)
	if err := admin.AcceptMissing(ctx, pool, info, info.Missing(), gone, engine.RangesOf(90), engine.RangesOf(50, 90)); err != nil {
		t.Fatal(err)
	}
	if m := missing(t, pool, info); m.Explained != 4 || len(m.Undelivered) > 0 {
		t.Errorf("accepted: %+v, want 3 and the one that is yet to be removed", m)
	}
	known, err := admin.KnownMissing(ctx, pool, info)
	if err != nil || known.String() != "1–2, 50, 90" {
		t.Errorf("known are %v, %v", known, err)
	}
	if those := unexplained(t, pool, info, engine.RangesOf(1, 2, 3, 4, 50, 90)); those != "4" {
		t.Errorf("unexplained are %s", those)
	}
	if err := admin.RecordRemovals(ctx, pool, info, []uint64{3, 4}); err != nil {
		t.Fatal(err)
	}
	info.Messages = 94
	if err := admin.RaiseExplained(ctx, pool, info); err != nil {
		t.Fatal(err)
	}
	if m := missing(t, pool, info); m.Explained != 6 {
		t.Errorf("in the end %d are explained, want 1 to 4, 50 and 90", m.Explained)
	}
	var noted string
	err = pool.QueryRow(ctx, `SELECT coalesce(string_agg(position::text, ',' ORDER BY position), '') FROM export.removals`).Scan(&noted)
	if err != nil || noted != "3,4" {
		t.Errorf("noted are %s, %v", noted, err)
	}
	if s := fmt.Sprint(engine.Ranges(nil)); s != "" {
		t.Errorf("none are %q", s)
	}
}

// TestOutdatedSchemasAreToldApart: a database that was not migrated for this program is
// known as such whatever is missing, and the ledger is told apart from all else.
func TestOutdatedSchemasAreToldApart(t *testing.T) {
	t.Parallel()
	pool, _ := readmodeltest.Open(t)
	readmodeltest.Exec(t, pool, `ALTER TABLE export.missing RENAME TO missing_elsewhere`)
	_, err := admin.FindMissing(t.Context(), pool, engine.StreamInfo{Name: "S"})
	if !errors.Is(err, readmodel.ErrSchemaOutdated) || !errors.Is(err, admin.ErrNoLedger) {
		t.Errorf("without the ledger: %v", err)
	}
	readmodeltest.Exec(t, pool, `ALTER TABLE export.generations RENAME COLUMN state TO state_elsewhere`)
	_, err = readmodel.LiveGeneration(t.Context(), pool)
	if !errors.Is(err, readmodel.ErrSchemaOutdated) || errors.Is(err, admin.ErrNoLedger) {
		t.Errorf("without a column: %v", err)
	}
	if got, want := err.Error(), readmodel.ErrSchemaOutdated.Error()+": "; !strings.HasPrefix(got, want) || strings.Count(got, want) > 1 {
		t.Errorf("it says %q", got)
	}
}
