package export_test

import (
	"io"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestAccountIsShutOut: a document that lingers is let go of for another's
// sake. What its account has of the room is not counted down then, so that it
// has its share for ever: two accounts that are read in turn, one at a time, are
// refused, although nothing is held.
func TestAccountIsShutOut(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 700)
	other := events.UUID{15: 9}
	for _, sql := range []string{
		`INSERT INTO export_g1.account_export SELECT (jsonb_populate_record(e, '{"account_id": "` + other.String() + `"}')).* FROM export_g1.account_export e`,
		`INSERT INTO export_g1.account_export_pages SELECT '` + other.String() + `', section, page_key, body FROM export_g1.account_export_pages`,
	} {
		readmodeltest.Exec(t, pool, sql)
	}
	// Room for one of them and a half.
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
