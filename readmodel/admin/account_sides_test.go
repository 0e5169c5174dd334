package admin_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestAccountSidesAreWhatDiffers: of an account in two generations only what differs is read,
// of that no more than the bound, and the rest is told. No statement reads all accounts.
// Generations are listed with how far they are and how much room they take.
func TestAccountSidesAreWhatDiffers(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	log := readmodeltest.NewBusyLog(8, 1200, workload.Config{Accounts: 40})
	log.Project(t, live, engine.Options{})
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	log.Project(t, builder, engine.Options{})

	all, err := admin.ReadGenerations(t.Context(), pool)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d generations: %v", len(all), err)
	}
	for _, g := range all {
		lowest, err := readmodel.LowestPosition(t.Context(), pool, g.Number)
		if err != nil || g.Position != lowest || g.Mean < lowest || g.Mean > uint64(len(log)) || g.Bytes < 100_000 {
			t.Errorf("generation %d: %+v, lowest %d: %v", g.Number, g, lowest, err)
		}
	}

	var id events.UUID
	if err := pool.QueryRow(t.Context(), `
SELECT account_id FROM export_g1.account_export WHERE user_json IS NOT NULL AND length(sandboxes_tail) > 0 ORDER BY account_id LIMIT 1`).Scan((*[16]byte)(&id)); err != nil {
		t.Fatal(err)
	}
	// One connection, whose figures are in the statistics as soon as they are asked for.
	one := readmodeltest.PoolWith(t, pool, func(c *pgxpool.Config) { c.MaxConns = 1 })
	scans := func() (n int64) {
		var flushed any
		if err := one.QueryRow(t.Context(), `SELECT pg_stat_force_next_flush()::text`).Scan(&flushed); err != nil {
			t.Fatal(err)
		}
		err := one.QueryRow(t.Context(), `SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'account_export%'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	read := func(most int) [2]admin.AccountSide {
		t.Helper()
		before := scans()
		sides, err := admin.ReadAccountSides(t.Context(), one, 1, 2, id, most)
		if err != nil || !sides[0].Found || !sides[1].Found || sides[0].Position != sides[1].Position {
			t.Fatalf("%+v, %v", sides, err)
		}
		if now := scans(); now != before {
			t.Errorf("%d scans of tables of accounts", now-before)
		}
		return sides
	}
	for _, side := range read(1 << 20) {
		for i, s := range side.Sections {
			if s.Bytes != 0 || s.Parts != nil || s.Omitted != 0 {
				t.Errorf("the same in both: %s: %+v", admin.StoredSections[i], s)
			}
		}
	}

	readmodeltest.Exec(t, pool, fmt.Sprintf(`
INSERT INTO export_g2.account_export_pages
SELECT '%[1]s', 3, '9' || lpad(n::text, 6, '0'), convert_to('{"id":"' || n || '","text":"' || repeat('x', 1000) || '"}', 'UTF8') FROM generate_series(1, 50) AS n;
UPDATE export_g2.account_export SET user_json = convert_to('{"id":"other"}', 'UTF8'), waiting = 3 WHERE account_id = '%[1]s'`, id))
	sides := read(10_300)
	if s := sides[1].Sections[0]; len(s.Parts) != 1 || string(s.Parts[0]) != `{"id":"other"}` || sides[1].Waiting != 3 {
		t.Errorf("user: %+v", s)
	}
	if s := sides[0].Sections[5]; s.Bytes != 0 || len(s.Parts) != 0 {
		t.Errorf("sandboxes that the first one lacks: %+v", s)
	}
	s := sides[1].Sections[5]
	shown := int64(0)
	for _, part := range s.Parts {
		shown += int64(len(part))
	}
	if len(s.Parts) != 10 || shown > 10_300 || shown+s.Omitted != s.Bytes || s.Bytes < 50_000 {
		t.Errorf("of %d bytes %d are read in %d parts, and %d are omitted", s.Bytes, shown, len(s.Parts), s.Omitted)
	}
	if s := read(10)[1].Sections[0]; s.Parts != nil || s.Omitted != s.Bytes || s.Bytes != 14 {
		t.Errorf("longer than the bound: %+v", s)
	}
}
