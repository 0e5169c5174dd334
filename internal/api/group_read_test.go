package api

import (
	"context"
	"io"
	"sync"
	"testing"

	"accountexport/events"
	"accountexport/readmodel/export"
)

// readConcurrently has many clients read all kinds of accounts concurrently, and calls check
// with each answer.
func readConcurrently(t *testing.T, x *export.Reader, check func(account events.UUID, d *export.Document, err error)) (reads int64) {
	t.Helper()
	const clients, rounds = 40, 50
	accounts := []events.UUID{complete, incomplete, erased, unknown, {9}, complete}
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range rounds {
				account := accounts[(c+i)%len(accounts)]
				d, err := x.Open(t.Context(), account)
				check(account, d, err)
				if err == nil {
					d.Close()
				}
			}
		})
	}
	all.Wait()
	return clients * rounds
}

// TestReadsAtOnceShareStatements: each client gets its own account's document,
// whatever the same group read returns for others.
func TestReadsAtOnceShareStatements(t *testing.T) {
	pool := database(t)
	x := export.NewReader(pool)
	alone, err := x.Open(t.Context(), complete)
	if err != nil {
		t.Fatal(err)
	}
	want := map[events.UUID]export.State{complete: export.Complete, incomplete: export.Incomplete, erased: export.Erased}
	before := pool.Stat().AcquireCount()
	reads := readConcurrently(t, x, func(account events.UUID, d *export.Document, err error) {
		if err != nil {
			t.Errorf("%s: %v", account, err)
			return
		}
		if d.State != want[account] {
			t.Errorf("%s: state %v, want %v", account, d.State, want[account])
		}
		if account == complete && (d.Size() != alone.Size() || d.ETag() != alone.ETag() || d.AsOf != alone.AsOf) {
			t.Errorf("%d bytes %s, want %d %s", d.Size(), d.ETag(), alone.Size(), alone.ETag())
		}
	})
	if n := pool.Stat().AcquireCount() - before; n > reads/2 {
		t.Errorf("%d reads took %d connections one after the other: they share nothing", reads, n)
	}
	large, err := x.Open(t.Context(), parked)
	if err != nil {
		t.Fatal(err)
	}
	defer large.Close()
	if n, err := large.WriteTo(io.Discard); err != nil || n < largePages*pageBytes {
		t.Errorf("the one with pages: %d bytes, %v", n, err)
	}
}

// TestBrokenRowConcernsItsAccountOnly: a row that the server cannot read does not
// fail the other accounts of its group read.
func TestBrokenRowConcernsItsAccountOnly(t *testing.T) {
	pool := database(t)
	for _, sql := range []string{
		`ALTER TABLE export_g1.account_export RENAME TO rows`,
		`CREATE VIEW export_g1.account_export AS SELECT account_id, partition, position, parked, dismissed, version_minor, erased_at, quota_tier_id,
    usage_pages, key_pages, sandbox_pages / (account_id <> '03000000-0000-0000-0000-000000000000')::int AS sandbox_pages,
    user_json, team_json, usage_tail, keys_tail, sandboxes_tail FROM export_g1.rows`,
	} {
		if _, err := pool.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	readConcurrently(t, export.NewReader(pool), func(account events.UUID, d *export.Document, err error) {
		if (err != nil) != (account == incomplete) {
			t.Errorf("%s: %v", account, err)
		}
	})
}
