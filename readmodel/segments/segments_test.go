package segments

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// newWalker compresses whatever there is, at once.
func newWalker(pool *pgxpool.Pool) *Walker {
	w := NewWalker(pool, "one", 1<<40, func(int) {})
	w.Resting = 0
	return w
}

// walk has everything compressed that there is.
func walk(t *testing.T, w *Walker) {
	t.Helper()
	for end := false; !end; {
		var err error
		if end, err = w.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// open opens the document as a gzip body, or plain where it is not stored as one.
func open(t *testing.T, x *export.Reader, id events.UUID) (body []byte, stored bool, size int64) {
	t.Helper()
	d, err := x.OpenGzip(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var b bytes.Buffer
	if _, err := d.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	length, stored := d.Gzip()
	if stored && length != int64(b.Len()) {
		t.Errorf("%d bytes of %d", b.Len(), length)
	}
	return b.Bytes(), stored, d.Size()
}

// decompress decompresses a gzip body, one and no more.
func decompress(t *testing.T, body []byte) string {
	t.Helper()
	in := bytes.NewReader(body)
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	plain, err := io.ReadAll(z)
	if err != nil || in.Len() > 0 {
		t.Fatalf("%d bytes are left, %v", in.Len(), err)
	}
	return string(plain)
}

// count is what a statement counts.
func count(t *testing.T, pool *pgxpool.Pool, sql string) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// countSegments counts those that hold.
var countSegments = strings.ReplaceAll(`SELECT count(*) FROM export_g1.account_export_segments s WHERE `+
	strings.ReplaceAll(export.SegmentHolds, "$1", "s.account_id"), "{schema}", "export_g1")

// TestStoredDocumentIsThePlainOne: a document that is put together of segments
// decompresses to the plain one, by Go's decoder, by gzip and by zlib, with what no segment
// has at its end, in between, and at its beginning.
func TestStoredDocumentIsThePlainOne(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 500)
	if _, stored, _ := open(t, export.NewReader(pool), a.ID); stored {
		t.Error("it is stored before it was compressed")
	}
	w := newWalker(pool)
	w.Resting = 1 << 20
	if walk(t, w); count(t, pool, countSegments) != 0 {
		t.Error("pages were compressed that have not come to rest")
	}
	w.Resting = 0
	walk(t, w)
	if n := count(t, pool, countSegments); n != 497/segmentPages {
		t.Errorf("%d segments", n)
	}
	for _, change := range []string{
		`SELECT 1`,
		`UPDATE export_g1.account_export_pages SET body = '"between"' WHERE page_key = '0000100'`,
		`UPDATE export_g1.account_export_pages SET body = '"the first"' WHERE page_key = '0000004'`,
		`UPDATE export_g1.account_export SET sandboxes_tail = ''`,
		`DELETE FROM export_g1.account_export_pages WHERE section < 3`,
		`UPDATE export_g1.account_export SET usage_pages = 0, key_pages = 0`,
	} {
		readmodeltest.Exec(t, pool, change)
		if strings.HasPrefix(change, "DELETE") { // until the row says so too
			continue
		}
		x := export.NewReader(pool)
		_, plain := readmodeltest.Read(t, x, a.ID)
		body, stored, size := open(t, x, a.ID)
		if !stored || size != int64(len(plain)) {
			t.Fatalf("%s: stored %t, %d bytes of %d", change, stored, size, len(plain))
		}
		if decompress(t, body) != plain {
			t.Errorf("%s: it decompresses to something else", change)
		}
		for _, decoder := range [][]string{{"gzip", "-dc"}, {"python3", "-c", "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read(), 31))"}} {
			cmd := exec.CommandContext(t.Context(), testrun.Tool(t, decoder[0], "apt-get install "+decoder[0]), decoder[1:]...)
			cmd.Stdin = bytes.NewReader(body)
			if out, err := cmd.Output(); err != nil || string(out) != plain {
				t.Errorf("%s: %s makes %d bytes of it, %v", change, decoder[0], len(out), err)
			}
		}
	}
	if n := count(t, pool, countSegments); n != 497/segmentPages-2 {
		t.Errorf("%d segments, though pages of two have changed", n)
	}
	if walk(t, w); count(t, pool, countSegments) != 497/segmentPages {
		t.Error("what has changed was not compressed again")
	}
}

// TestSegmentGoesWithItsPages: a segment does not hold once one of its pages is
// changed, and is gone with the first that is removed, by whatever statement, in its transaction; none is left of an
// account that is erased.
func TestSegmentGoesWithItsPages(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.LargeAccount(t, pool, s, 259)
	w := newWalker(pool)
	walk(t, w)
	for _, c := range []struct {
		sql  string
		left int
	}{
		{`UPDATE export_g1.account_export_pages SET body = '"other"' WHERE page_key = '0000004'`, 7},
		{`INSERT INTO export_g1.account_export_pages SELECT account_id, 3, '0000067', '"other"' FROM export_g1.account_export
  ON CONFLICT (account_id, section, page_key) DO UPDATE SET body = excluded.body`, 7},
		{`DELETE FROM export_g1.account_export_pages WHERE page_key = '0000259'`, 7},
		{`UPDATE export_g1.account_export_pages SET page_key = '1' || page_key WHERE page_key IN ('0000035', '0000036', '0000099')`, 5},
		{`DELETE FROM export_g1.account_export_pages`, 0},
	} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var left int
		if _, err := tx.Exec(t.Context(), c.sql); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRow(t.Context(), countSegments).Scan(&left); err != nil || left != c.left {
			t.Errorf("%s: %d segments are left, not %d, %v", c.sql, left, c.left, err)
		}
		if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM export_g1.account_export_segments`).Scan(&left); err != nil || c.left == 0 && left > 0 {
			t.Errorf("%s: %d segments are left, void, %v", c.sql, left, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count(t, pool, countSegments); n != 8 {
			t.Fatalf("rolled back: %d segments", n)
		}
	}
}

// TestNoSegmentIsStale: while pages are rewritten, in either order with their account's
// row, or removed and made anew, and segments are made of them at every moment by two replicas, each page of each
// gzip body is the one of the version that the body is of.
func TestNoSegmentIsStale(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 200)
	const first = 1000
	rewritten := func(version int) int { return 4 + version*37%64 } // the number of the page that a version rewrites
	removed := func(version int) bool { return version%16 == 0 }    // all pages, and made anew
	readmodeltest.Exec(t, pool, fmt.Sprintf(`UPDATE export_g1.account_export SET position = %d`, first))
	readmodeltest.Exec(t, pool, fmt.Sprintf(`UPDATE export_g1.account_export_pages SET body = ('"<' || page_key || ' %d>' || repeat('x', 4000) || '"')::bytea`, first))
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(testrun.AtLength(2, 30))*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := first + 1; ctx.Err() == nil; n++ {
			statements := []string{
				fmt.Sprintf(`UPDATE export_g1.account_export SET position = %d`, n),
				fmt.Sprintf(`UPDATE export_g1.account_export_pages SET body = ('"<' || page_key || ' %d>' || repeat('x', 4000) || '"')::bytea WHERE page_key = '%07d'`, n, rewritten(n)),
			}
			switch {
			case removed(n):
				statements = append(statements[:1], `CREATE TEMPORARY TABLE IF NOT EXISTS kept ON COMMIT DROP AS TABLE export_g1.account_export_pages`,
					`DELETE FROM export_g1.account_export_pages`,
					fmt.Sprintf(`INSERT INTO export_g1.account_export_pages SELECT account_id, section, page_key, ('"<' || page_key || ' %d>' || repeat('x', 4000) || '"')::bytea FROM kept`, n))
			case n%2 == 0:
				slices.Reverse(statements)
			}
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				for _, sql := range statements {
					if _, err := tx.Exec(ctx, sql); err != nil {
						return err
					}
					time.Sleep(rand.N(20 * time.Millisecond))
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			time.Sleep(rand.N(6 * time.Millisecond))
		}
	})
	var made, read atomic.Int64
	for range 2 {
		w := newWalker(pool)
		w.compressed = func(int) { made.Add(1) }
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := w.Next(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		x := export.NewReader(pool)
		for ctx.Err() == nil {
			d, err := x.OpenGzip(ctx, a.ID, nil)
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				continue
			}
			var b bytes.Buffer
			_, err = d.WriteTo(&b)
			position := int(d.Position)
			if _, stored := d.Gzip(); err == nil && stored {
				read.Add(1)
				want, since := map[int]int{}, first
				for n := first + 1; n <= position; n++ {
					if want[rewritten(n)] = n; removed(n) {
						want, since = map[int]int{}, n
					}
				}
				for _, part := range strings.Split(decompress(t, b.Bytes()), "<")[1:] {
					var page, version int
					if _, err := fmt.Sscanf(part, "%d %d>", &page, &version); err != nil || version != max(since, want[page]) {
						t.Errorf("version %d has page %d of version %d, not of %d, %v", position, page, version, max(since, want[page]), err)
					}
				}
			}
			d.Close()
		}
	})
	wg.Wait()
	if made.Load() < 10 || read.Load() == 0 {
		t.Errorf("%d segments were made, and %d documents put together of them", made.Load(), read.Load())
	}
}

// TestNoSegmentOfPagesThatAreBeingChanged: a segment that is made of a page as it was,
// while a transaction has changed it and has not ended, does not hold once it has; nor is
// one made while one that is to change the account holds the lock of its row.
func TestNoSegmentOfPagesThatAreBeingChanged(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 259)
	w := newWalker(pool)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE export_g1.account_export_pages SET body = '"changed"' WHERE page_key = '0000010'`); err != nil {
		t.Fatal(err)
	}
	walk(t, w)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, pool, countSegments); n != 7 {
		t.Errorf("%d segments hold, and not seven of eight", n)
	}
	if tx, err = pool.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE export_g1.account_export SET position = position + 1`); err != nil {
		t.Fatal(err)
	}
	walk(t, w)
	if n := count(t, pool, countSegments); n != 7 {
		t.Errorf("%d segments, though the account was locked", n)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	walk(t, w)
	x := export.NewReader(pool)
	_, plain := readmodeltest.Read(t, x, a.ID)
	body, stored, _ := open(t, x, a.ID)
	if n := count(t, pool, countSegments); n != 8 || !stored || decompress(t, body) != plain || !strings.Contains(plain, "changed") {
		t.Errorf("%d segments, stored %t", n, stored)
	}
}

// TestSegmentsAndTheServersUpkeep: freezing and rewriting the tables leave segments as
// they are, while none holds that was copied as a row, as by a dump that is restored,
// whatever numbers its pages have there; those are made anew.
func TestSegmentsAndTheServersUpkeep(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 259)
	w := newWalker(pool)
	walk(t, w)
	for _, c := range []struct {
		sql  string
		hold int
	}{
		{`VACUUM (FREEZE) export_g1.account_export_pages, export_g1.account_export_segments`, 8},
		{`VACUUM (FULL, FREEZE) export_g1.account_export_pages, export_g1.account_export_segments`, 8},
		{`CREATE TABLE copied AS TABLE export_g1.account_export_segments`, 8},
		{`TRUNCATE export_g1.account_export_segments`, 0},
		{`INSERT INTO export_g1.account_export_segments TABLE copied`, 0},
	} {
		readmodeltest.Exec(t, pool, c.sql)
		if n := count(t, pool, countSegments); n != c.hold {
			t.Errorf("%s: %d segments hold, not %d", c.sql, n, c.hold)
		}
	}
	if walk(t, w); count(t, pool, countSegments) != 8 || count(t, pool, `SELECT count(*) FROM export_g1.account_export_segments`) != 8 {
		t.Error("those that do not hold are still there")
	}
	x := export.NewReader(pool)
	_, plain := readmodeltest.Read(t, x, a.ID)
	if body, stored, _ := open(t, x, a.ID); !stored || decompress(t, body) != plain {
		t.Error("the document is another one")
	}
}

// TestLoosePagesAreFewBytes: a document of which many bytes are not stored compressed,
// since pages of large items have changed, is not put together in memory.
func TestLoosePagesAreFewBytes(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 611)
	walk(t, newWalker(pool))
	for _, c := range []struct {
		changed int // of the last pages, which have no segment
		stored  bool
	}{{1, true}, {3, false}} {
		readmodeltest.Exec(t, pool, fmt.Sprintf(`
UPDATE export_g1.account_export_pages SET body = ('"' || repeat('x', 900000) || '"')::bytea WHERE page_key > to_char(611 - %d, 'FM0000000')`, c.changed))
		_, plain := readmodeltest.Read(t, export.NewReader(pool), a.ID)
		body, stored, _ := open(t, export.NewReader(pool), a.ID)
		if got := string(body); stored != c.stored || stored && decompress(t, body) != plain || !stored && got != plain {
			t.Errorf("%d pages: stored %t, %d bytes of %d", c.changed, stored, len(got), len(plain))
		}
	}
}

// TestSegmentsThroughPoolers: segments are made and read by each of the ways in which
// statements are sent, of which poolers do not take all.
func TestSegmentsThroughPoolers(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 300)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		readmodeltest.Exec(t, pool, `TRUNCATE export_g1.account_export_segments`)
		other := readmodeltest.PoolWith(t, pool, func(c *pgxpool.Config) {
			c.ConnConfig.DefaultQueryExecMode, c.AfterConnect = mode, connect.RegisterTypes
		})
		walk(t, newWalker(other))
		_, plain := readmodeltest.Read(t, export.NewReader(other), a.ID)
		body, stored, _ := open(t, export.NewReader(other), a.ID)
		if !stored || decompress(t, body) != plain {
			t.Errorf("%v: stored %t, %d bytes", mode, stored, len(body))
		}
	}
}

// TestNoSegmentOfPagesThatAreBeingRemoved: where pages are removed while a segment is
// made of them, as by an older program's erasure, whoever removes them waits, and none is
// left.
func TestNoSegmentOfPagesThatAreBeingRemoved(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.LargeAccount(t, pool, s, 259)
	making, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`SELECT FROM export_g1.account_export FOR NO KEY UPDATE`,
		`INSERT INTO export_g1.account_export_segments (account_id, section, first_key, last_key, written_by, length, crc, deflated)
SELECT account_id, section, min(page_key), max(page_key), array_agg(xmin ORDER BY page_key), 0, 0, '' FROM export_g1.account_export_pages GROUP BY 1, 2`,
	} {
		if _, err := making.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	removed := make(chan error, 1)
	go func() {
		_, err := pool.Exec(t.Context(), `DELETE FROM export_g1.account_export_pages`)
		removed <- err
	}()
	testrun.Eventually(t, "it waits for the segment", func() bool {
		return count(t, pool, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0 || len(removed) > 0
	})
	if err := making.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	if n := count(t, pool, `SELECT count(*) FROM export_g1.account_export_segments`); n != 0 {
		t.Errorf("%d segments are left", n)
	}
}
