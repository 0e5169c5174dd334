package export_test

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestPartsAreThoseOfTheWhole: every part of a large document, read alone, is what the
// whole document has there.
func TestPartsAreThoseOfTheWhole(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 300)
	x := export.NewReader(pool)
	_, whole := readmodeltest.Read(t, x, a.ID)
	size := int64(len(whole))
	for from := int64(0); from < size; from += 31_007 {
		for _, n := range []int64{1, 4003, 90_001, size} {
			to := min(size, from+n)
			d, err := x.OpenRange(t.Context(), a.ID, func(_ *export.Meta, of int64) (int64, int64) {
				if of != size {
					t.Errorf("it has %d bytes, want %d", of, size)
				}
				return from, to
			})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if _, err := d.WriteTo(&b); err != nil || b.String() != whole[from:to] {
				t.Errorf("[%d, %d): %d bytes, %v", from, to, b.Len(), err)
			}
			d.Close()
		}
	}
	none, err := x.OpenRange(t.Context(), a.ID, func(*export.Meta, int64) (int64, int64) { return 0, 0 })
	if err != nil || none.Size() != size {
		t.Fatalf("%v, %v", none, err)
	}
	if n, err := none.WriteTo(io.Discard); n != 0 || err != nil {
		t.Errorf("nothing of it: %d bytes, %v", n, err)
	}
	none.Close()
	nothingHeld(t, x)
}

// TestPartsGoToTheirReadersAsTheyCome: a part is sent to its reader as it comes, by
// way of a file here, and is in memory a piece at a time.
func TestPartsGoToTheirReadersAsTheyCome(t *testing.T) {
	const part = 9 << 20
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 6_000)
	x := export.NewReader(pool, export.Limits{Memory: 1, Dir: t.TempDir()})
	for n := range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := x.OpenRange(t.Context(), a.ID, func(_ *export.Meta, size int64) (int64, int64) { return size/2 - part/2, size/2 + part/2 })
		if err != nil {
			t.Fatal(err)
		}
		if n, err := d.WriteTo(io.Discard); n != part || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; n > 0 && took > part/2 {
			t.Errorf("%d bytes of memory were used for a part of %d", took, part)
		}
		d.Close()
	}
	nothingHeld(t, x)
}
