package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestReadersOfAVersionShareASpool: readers of a version share one spool, in memory or
// in a file, which is gone soon after the last of them.
func TestReadersOfAVersionShareASpool(t *testing.T) {
	const readers, pages = 20, 500
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, pages)
	for _, memory := range []int64{64 << 20, 1 << 20} {
		dir := t.TempDir()
		x := export.NewReader(pool, export.Limits{Memory: memory, Dir: dir})
		var all []*export.Document
		for range readers {
			d, err := x.Open(t.Context(), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, d)
		}
		spools, shared, held := export.Spooled(x)
		if spools != 1 || shared != readers || held.Memory+held.Files != all[0].Size() || (held.Files > 0) != (memory < 4<<20) {
			t.Errorf("%d spools with %d readers hold %+v", spools, shared, held)
		}
		var first bytes.Buffer
		for i, d := range all {
			var b bytes.Buffer
			if _, err := d.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = b
			}
			if !bytes.Equal(b.Bytes(), first.Bytes()) || int64(b.Len()) != d.Size() || !json.Valid(b.Bytes()) {
				t.Errorf("reader %d got %d bytes of %d", i, b.Len(), d.Size())
			}
			d.Close()
		}
		if n := strings.Count(first.String(), `,"`+"the last"+`"`); n != 1 {
			t.Errorf("the tail is there %d times", n)
		}
		again, err := x.Open(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		nothingHeld(t, x)
	}
}

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

// nothingHeld waits until no spool is left.
func nothingHeld(t *testing.T, x *export.Reader) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		spools, _, held := export.Spooled(x)
		if spools == 0 && held == (export.Limits{}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d spools are left, %+v", spools, held)
		}
	}
}

// TestReadingIsNotWorthCompiling: the planner takes no statement that reads a document
// to cost nearly as much as what it compiles, and none scans a table of accounts,
// whether the planner knows much of the tables or nothing.
func TestReadingIsNotWorthCompiling(t *testing.T) {
	const compiled = 100_000 // jit_above_cost
	pool, s := readmodeltest.Open(t)
	readmodeltest.LargeAccount(t, pool, s, 30_000)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, prepare := range []string{`SET plan_cache_mode = force_generic_plan`, `ANALYZE`} {
		if _, err := conn.Exec(t.Context(), prepare); err != nil {
			t.Fatal(err)
		}
		for name, statement := range export.Statements(1) {
			if _, err := conn.Exec(t.Context(), `PREPARE `+name+` AS `+statement.SQL); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE `+name+statement.Args)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			plan := strings.Join(lines, "\n")
			var begin, cost float64
			_, costs, _ := strings.Cut(plan, "(cost=")
			if _, err := fmt.Sscanf(costs, "%f..%f ", &begin, &cost); err != nil || cost > compiled/4 || strings.Contains(plan, "JIT") {
				t.Errorf("after %s, %s: it is taken to cost %.0f, %v:\n%s", prepare, name, cost, err, plan)
			}
			if strings.Contains(plan, "Seq Scan on account_export_pages") || prepare != `ANALYZE` && strings.Contains(plan, "Seq Scan on account_export") {
				t.Errorf("after %s, %s goes through all accounts:\n%s", prepare, name, plan)
			}
			if _, err := conn.Exec(t.Context(), `DEALLOCATE `+name); err != nil {
				t.Fatal(err)
			}
		}
	}
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

// TestLostConnectionIsNotSeen: a reader that has not got a byte yet does not see that
// the connection was lost: the document is read once more.
func TestLostConnectionIsNotSeen(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 300)
	reading := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		cfg.MaxConns, cfg.MinConns = 2, 0 // one for reads that share statements, and one for large documents
		cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
		cfg.ConnConfig.RuntimeParams["application_name"] = "lost"
	})
	x := export.NewReader(reading)
	for n := range 12 {
		d, err := x.OpenRange(t.Context(), a.ID, func(_ *export.Meta, size int64) (int64, int64) {
			if n%2 == 0 {
				return 0, size
			}
			return 1000, 2000
		})
		if err != nil {
			t.Fatalf("read %d: %v", n, err)
		}
		if m, err := d.WriteTo(io.Discard); err != nil || m != d.To-d.From {
			t.Errorf("read %d: %d bytes, %v", n, m, err)
		}
		d.Close()
		nothingHeld(t, x)
		if _, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'lost' AND datname = current_database()`); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStatementTimeoutDoesNotBoundADocument: the server's statement_timeout does not
// bound the reading of a document: each answer has a limit of its own.
func TestStatementTimeoutDoesNotBoundADocument(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 30_000)
	reading := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		cfg.ConnConfig.RuntimeParams["statement_timeout"] = "150"
	})
	x := export.NewReader(reading, export.Limits{Memory: 1, Dir: t.TempDir()})
	d, err := x.Open(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.WriteTo(io.Discard); err != nil || n != d.Size() {
		t.Errorf("%d bytes, %v", n, err)
	}
	d.Close()
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
