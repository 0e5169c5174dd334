package export_test

import (
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestWhatIsNotReadMakesRoom: a spool that nobody reads any more gives its room to
// others, and the connection that it was read through is kept.
func TestWhatIsNotReadMakesRoom(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 700)
	x := export.NewReader(pool, export.Limits{Memory: 1, Dir: t.TempDir(), Files: 4_500_000}) // room for one and a half of them
	for n := range 5 {
		d, err := x.Open(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := d.WriteTo(io.Discard); m != d.Size() || err != nil {
			t.Errorf("%d bytes of %d, %v", m, d.Size(), err)
		}
		d.Close()
		if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET position = position + 1`); err != nil {
			t.Fatal(err)
		}
		if spools, _, _ := export.Spooled(x); spools > 1 {
			t.Errorf("after read %d there are %d spools", n, spools)
		}
	}
	if n := pool.Stat().NewConnsCount(); n > int64(pool.Stat().MaxConns()) {
		t.Errorf("%d connections were opened", n)
	}
	nothingHeld(t, x)
}

// TestWhoWaitsForRoomHoldsNoDocument: a read that waits for room holds no document
// meanwhile, and reads it again when there is room.
func TestWhoWaitsForRoomHoldsNoDocument(t *testing.T) {
	const readers, most = 40, 4 << 20
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 110)
	x := export.NewReader(pool, export.Limits{Memory: 1, Dir: t.TempDir(), Files: 8 * 500_000})
	first, err := x.Open(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET position = position + 1`); err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	all, done := make(chan error), time.Now().Add(4*time.Second)
	started := 0
	for ; started < readers && time.Now().Before(done); started++ {
		go func() {
			d, err := x.Open(t.Context(), a.ID)
			if err == nil {
				_, err = d.WriteTo(io.Discard)
				d.Close()
			}
			all <- err
		}()
		for deadline := time.Now().Add(time.Second); export.Waiting(x) <= started && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	if n := heap() - before; n > most || started < 15 {
		t.Errorf("%d who wait hold %d bytes", started, n)
	}
	first.Close()
	for range started {
		if err := <-all; err != nil {
			t.Error(err)
		}
	}
	nothingHeld(t, x)
}

// TestWhoComesLaterWaitsAsLong: a reader that comes later waits as long as the first
// one did, though they wait for the same document.
func TestWhoComesLaterWaitsAsLong(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 700)
	x := export.NewReader(pool, export.Limits{Memory: 1, Dir: t.TempDir(), Files: 4_500_000}) // room for one of them
	holds, err := x.Open(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE export_g1.account_export SET position = position + 1`); err != nil {
		t.Fatal(err)
	}
	ask := func() chan error {
		answered := make(chan error, 1)
		go func() {
			d, err := x.Open(t.Context(), a.ID)
			if err == nil {
				d.Close()
			}
			answered <- err
		}()
		return answered
	}
	first := ask()
	time.Sleep(2500 * time.Millisecond)
	later := ask()
	if err := <-first; !errors.Is(err, export.ErrBusy) {
		t.Errorf("who came first: %v", err)
	}
	holds.Close()
	if err := <-later; err != nil {
		t.Errorf("who came later: %v", err)
	}
	nothingHeld(t, x)
}
