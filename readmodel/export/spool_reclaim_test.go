package export_test

import (
	"io"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestReclaimedSpoolsGiveTheirShareBack: a spool that nobody reads is closed in favour
// of another account's. What it took counts no longer for its account's share then:
// two accounts that are read in turn, one at a time, are never refused.
func TestReclaimedSpoolsGiveTheirShareBack(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 700)
	other := events.UUID{15: 9}
	for _, sql := range []string{
		`INSERT INTO export_g1.account_export SELECT (jsonb_populate_record(e, '{"account_id": "` + other.String() + `"}')).* FROM export_g1.account_export e`,
		`INSERT INTO export_g1.account_export_pages SELECT '` + other.String() + `', section, page_key, body FROM export_g1.account_export_pages`,
	} {
		readmodeltest.Exec(t, pool, sql)
	}
	// Room for one and a half of them.
	x := export.NewReader(pool, export.Limits{Memory: 1, Dir: t.TempDir(), Files: 5_000_000})
	for n := range 12 {
		id := a.ID
		if n%2 == 1 {
			id = other
		}
		began := time.Now()
		d, err := x.Open(t.Context(), id)
		if err != nil {
			t.Fatalf("read %d, while nobody else reads: %v after %v; %v", n, err, time.Since(began), export.Wholes(x))
		}
		_, err = d.WriteTo(io.Discard)
		d.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
}
