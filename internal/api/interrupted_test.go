package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
	"accountexport/readmodel/store"
)

// rebuilt copies the rows into another generation and makes that the live one.
func rebuilt(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var created time.Time
	if err := pool.QueryRow(t.Context(), `SELECT stream_created FROM export.generations`).Scan(&created); err != nil {
		t.Fatal(err)
	}
	builder := store.NewBuilder(pool, "builder", false, slog.New(slog.DiscardHandler))
	own, err := builder.Acquire(t.Context(), engine.StreamInfo{Name: "S", Created: created, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO export_g2.account_export SELECT * FROM export_g1.account_export`,
		`INSERT INTO export_g2.account_export_pages SELECT * FROM export_g1.account_export_pages`,
		`INSERT INTO export_g2.quota_tiers SELECT * FROM export_g1.quota_tiers`,
		`UPDATE export.checkpoints n SET position = o.position, as_of = o.as_of FROM export.checkpoints o
WHERE n.generation = 2 AND o.generation = 1 AND n.partition = o.partition`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Cutover(t.Context(), pool, 1, own.Generation, false, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// TestPausedDownload: a client that pauses in the middle of a download holds no
// snapshot and no connection, so commits, a cutover and the removal of the generation
// that it reads go on. Then it receives the rest of that document, and a client that
// lost it continues with a range of the new generation's.
func TestPausedDownload(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool))
	whole := a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked))
	resp := a.begin(t, parked)
	first := make([]byte, 1000)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	testrun.Eventually(t, "the database is done with it", func() bool { return pool.Stat().AcquiredConns() == 0 })
	for range 200 {
		if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET position = position + 1`); err != nil {
			t.Fatal(err)
		}
	}
	if n := snapshots(t, pool); n != 0 {
		t.Errorf("%d snapshots are held", n)
	}
	rebuilt(t, pool)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := admin.Drop(ctx, pool, 1); err != nil {
		t.Errorf("the generation that is being sent: %v", err)
	}
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(first)+string(rest) != whole.body {
		t.Errorf("%d bytes, %v, want %d", len(first)+len(rest), err, len(whole.body))
	}
	// near the end only the last page is read
	for _, from := range []int{1000, len(whole.body) / 3, len(whole.body) - 500} {
		got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked), "Range", fmt.Sprintf("bytes=%d-", from), "If-Range", whole.header.Get("Etag"))
		if got.status != 206 || got.body != whole.body[from:] || got.header.Get("Etag") != whole.header.Get("Etag") ||
			got.header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", from, len(whole.body)-1, len(whole.body)) {
			t.Errorf("the rest from %d on: %d, %d bytes, %v", from, got.status, len(got.body), got.header)
		}
	}
}

// TestLostDatabaseNeverLooksWhole: when the connection to the database is cut while a
// document is read, its clients see it broken off, or, before the first byte, a 503.
func TestLostDatabaseNeverLooksWhole(t *testing.T) {
	direct := database(t)
	network, pool := throughProxy(t, direct)
	a := start(t, export.NewReader(pool))
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete)); got.status != 200 {
		t.Fatal(got.status)
	}
	network.Set(tcpproxy.Shape{BytesPerSecond: 300_000}) // a page compresses to some hundreds of bytes
	resp := a.begin(t, parked)
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	network.Refuse(true)
	network.Cut()
	n, err := io.Copy(io.Discard, resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after %d more bytes: got %v, want an unexpected end", n, err)
	}
	network.Refuse(false)
	network.Set(tcpproxy.Shape{BytesPerSecond: 20_000}) // nothing is sent before 128 KiB are read
	early := make(chan answer)
	go func() { early <- a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked)) }()
	testrun.Eventually(t, "it is read", func() bool {
		var n int
		err := direct.QueryRow(t.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%SELECT section, body%' AND state = 'active'`).Scan(&n)
		return err == nil && n > 0
	})
	network.Refuse(true)
	network.Cut()
	got := <-early
	checkProblem(t, got, 503, "unavailable")
	for _, name := range []string{"Etag", "Export-Position", "Content-Disposition", "Accept-Ranges"} {
		if got.header.Get(name) != "" {
			t.Errorf("%s of a document that does not come: %s", name, got.header.Get(name))
		}
	}
	network.Refuse(false)
	network.Set(tcpproxy.Shape{})
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked)); got.status != 200 {
		t.Errorf("afterwards: %d", got.status)
	}
	testrun.Eventually(t, "all connections are back", func() bool { return pool.Stat().AcquiredConns() == 0 })
}

// TestDocumentGoesOnOverALostConnection: a document, or part of one, whose database
// connection is lost while it is sent arrives completely if the database can be
// reached and the account has not changed.
func TestDocumentGoesOnOverALostConnection(t *testing.T) {
	direct := database(t)
	network, pool := throughProxy(t, direct)
	whole := start(t, export.NewReader(pool)).ask(t, "GET", exportPath, "Authorization", bearer(t, parked))
	if whole.status != 200 {
		t.Fatal(whole.status)
	}
	from := len(whole.body) * 3 / 5
	for what, c := range map[string]struct {
		header []string
		want   string
	}{
		"whole": {nil, whole.body},
		"part":  {[]string{"Range", fmt.Sprintf("bytes=%d-", from)}, whole.body[from:]},
	} {
		a := start(t, export.NewReader(pool)) // a Reader that has read nothing yet
		network.Set(tcpproxy.Shape{BytesPerSecond: 300_000})
		resp := a.begin(t, parked, c.header...)
		first := make([]byte, 1000)
		if _, err := io.ReadFull(resp.Body, first); err != nil {
			t.Fatal(err)
		}
		if n := network.Cut(); n == 0 {
			t.Fatal("no connection was cut")
		}
		network.Set(tcpproxy.Shape{})
		rest, err := io.ReadAll(resp.Body)
		if got := string(first) + string(rest); err != nil || got != c.want {
			t.Errorf("%s: %d bytes, %v, want %d", what, len(got), err, len(c.want))
		}
	}
}

// TestMendedRowIsNotMixedIn: if a row and its pages were rewritten meanwhile, at the
// same position and with the same length, the document under way is broken off.
func TestMendedRowIsNotMixedIn(t *testing.T) {
	direct := database(t)
	network, pool := throughProxy(t, direct)
	a := start(t, export.NewReader(pool))
	network.Set(tcpproxy.Shape{BytesPerSecond: 300_000})
	resp := a.begin(t, parked)
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	network.Refuse(true)
	network.Cut()
	if tag, err := direct.Exec(t.Context(), `
WITH pages AS (UPDATE export_g1.account_export_pages SET body = overlay(body placing 'mended' from octet_length(body) - 20) WHERE account_id = $1 RETURNING 1)
UPDATE export_g1.account_export SET position = position WHERE account_id = $1 AND EXISTS (SELECT FROM pages)`, [16]byte(parked)); err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
	network.Refuse(false)
	network.Set(tcpproxy.Shape{})
	n, err := io.Copy(io.Discard, resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after %d more bytes: got %v, want an unexpected end", n, err)
	}
}
