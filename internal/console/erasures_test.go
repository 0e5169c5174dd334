package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/acts"
)

// TestLedgerIsReadInPages: a ledger of thousands is read to its end, each page with five
// statements at most, and none of them reads accounts.
func TestLedgerIsReadInPages(t *testing.T) {
	t.Parallel()
	count := &counter{statements: make(chan string, 1<<16)}
	s := newStack(t, func(c *Config) { c.Pool = countedPool(t, c.Pool, count) })
	if _, err := s.pool.Exec(t.Context(), `
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created, receipt)
SELECT md5(n::text)::uuid, now(), n, '<i>'||chr(8238)||'stream', now(), CASE WHEN n % 2 = 0 THEN 'sha256:' || md5(n::text) END FROM generate_series(1, 5000) n`); err != nil {
		t.Fatal(err)
	}
	var seen []string
	pages, next := 0, ""
	for pages < 100 {
		count.taken()
		var v erasuresView
		s.getJSON(t, "/api/erasures?after="+next, &v)
		if all := count.taken(); len(all) == 0 || len(all) > 5 || slices.ContainsFunc(all, readsAccounts) {
			t.Fatalf("a page takes %d statements: %q", len(all), all)
		}
		for _, e := range v.Entries {
			seen = append(seen, e.Account)
		}
		pages++
		if next = v.Next; next == "" {
			break
		}
	}
	if len(seen) != 5000 || !slices.IsSorted(seen) || len(slices.Compact(seen)) != 5000 || pages != 50 {
		t.Errorf("%d entries on %d pages, in order: %v", len(seen), pages, slices.IsSorted(seen))
	}
	page := s.get(t, "/erasures", http.StatusOK)
	if strings.Contains(page, "<i>") || strings.Contains(page, "\u202e") || !strings.Contains(page, `&lt;i&gt;\u202estream`) {
		t.Error("the name of a stream is not made harmless")
	}
	s.get(t, "/erasures?after=x", http.StatusBadRequest)
	if n := s.outcomes(t, acts.ErasuresViewed, acts.OutcomeDone); n != pages+1 {
		t.Errorf("%d looks are on record, want one for each of %d pages", n, pages+1)
	}
}

// countedPool is a pool like another one whose statements are counted.
func countedPool(t *testing.T, like *pgxpool.Pool, count *counter) *pgxpool.Pool {
	t.Helper()
	cfg := like.Config()
	cfg.ConnConfig.Tracer = count
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// readsAccounts tells whether a statement reads a table of accounts, and not only whether a
// generation has the table of compressed pages.
func readsAccounts(sql string) bool {
	return strings.Contains(strings.ReplaceAll(sql, "to_regclass('export_g' || generation || '.account_export_segments')", ""), "account_export")
}
