package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

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
