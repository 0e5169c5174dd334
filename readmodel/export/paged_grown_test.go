package export_test

import (
	"io"
	"runtime"
	"testing"

	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestGrownDocumentIsNotHeldWhole: a document that was short when it was last read has
// grown to 16 MB, in few and long pages, as metadata of 64 kB make them. It must not
// be in memory as a whole beside what the budget counts.
func TestGrownDocumentIsNotHeldWhole(t *testing.T) {
	const most = 16 << 20 // held as a whole, it takes 33 MB
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 4) // 16 kB
	x := export.NewReader(pool, export.Limits{Memory: 1, Dir: t.TempDir()})
	get := func() (took uint64) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := x.Open(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := d.WriteTo(io.Discard); err != nil || n != d.Size() {
			t.Fatalf("%d bytes, %v", n, err)
		}
		d.Close()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	get()
	get() // it is remembered as short now
	readmodeltest.Exec(t, pool, `UPDATE export_g1.account_export_pages SET body = ('"' || repeat(md5(page_key), 2000) || '"')::bytea`)
	readmodeltest.Exec(t, pool, `INSERT INTO export_g1.account_export_pages SELECT account_id, section, 'x' || to_char(i, 'FM0000000'), body
FROM export_g1.account_export_pages, generate_series(1, 250) i WHERE section = 3 AND page_key = '0000004'`)
	readmodeltest.Exec(t, pool, `UPDATE export_g1.account_export SET sandbox_pages = sandbox_pages + 250, position = position + 1`)
	first := get()
	then := get()
	t.Logf("%d bytes of memory for the first read, %d for the next", first, then)
	if first > most {
		t.Errorf("the read of a document that has grown takes %d bytes of memory, and where it is known to be long %d", first, then)
	}
}
