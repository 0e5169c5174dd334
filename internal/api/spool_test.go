package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
	"accountexport/readmodel/store"
)

// paged gives an account a document with that many pages of that many bytes, beside
// the members of the complete account.
func paged(t testing.TB, pool *pgxpool.Pool, account events.UUID, pages, bytes int) {
	t.Helper()
	for i, sql := range []string{
		`INSERT INTO export_g1.account_export (account_id, partition, position, parked, version_minor, quota_tier_id, usage_low,
    usage_pages, key_pages, sandbox_pages, waiting, user_json, team_json, usage_tail, keys_tail, sandboxes_tail)
SELECT $1, partition, position, parked, version_minor, quota_tier_id, usage_low, 0, 0, $2, waiting, user_json, team_json, usage_tail, keys_tail, sandboxes_tail
FROM export_g1.account_export WHERE account_id = '01000000-0000-0000-0000-000000000000' AND $3::integer > 0`,
		`INSERT INTO export_g1.account_export_pages (account_id, section, page_key, body)
SELECT $1, 3, to_char(i, 'FM0000'), replace(replace($4::text, '"last"', '"' || i || '"'), '"metadata":{}', '"metadata":{"x":"' || rpad(i::text, $3 - 200, md5(i::text)) || '"}')::bytea FROM generate_series(1, $2) i`,
	} {
		if _, err := pool.Exec(t.Context(), sql, []any{[16]byte(account), pages, bytes, sandboxJSON}[:3+i]...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUsualDocumentsForManyClients: documents of every size that one statement reads,
// with two dozen sandboxes and more, are served concurrently, each to its own client.
func TestUsualDocumentsForManyClients(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool))
	want := map[events.UUID]string{}
	var accounts []events.UUID
	for n, pages := range []int{0, 1, 2, 3, 25, 75, 130} {
		id := events.UUID{20, byte(n)}
		paged(t, pool, id, pages, 4000)
		got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, id))
		if got.status != 200 || len(got.body) < pages*3900 || got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
			t.Fatalf("%d pages: %d, %d bytes", pages, got.status, len(got.body))
		}
		want[id], accounts = got.body, append(accounts, id)
	}
	var all sync.WaitGroup
	for c := range 32 {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			defer client.CloseIdleConnections()
			for i := range 10 {
				id := accounts[(c+i)%len(accounts)]
				r, err := http.NewRequestWithContext(t.Context(), "GET", a.url+exportPath, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", bearer(t, id))
				resp, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || string(body) != want[id] {
					t.Errorf("%s: %d, %d bytes, want %d, %v", id, resp.StatusCode, len(body), len(want[id]), err)
				}
			}
		})
	}
	all.Wait()
}

// TestEveryWayToAskGivesTheSame: poolers require other query execution modes than the
// default, with the same documents.
func TestEveryWayToAskGivesTheSame(t *testing.T) {
	pool := database(t)
	medium, large := events.UUID{20}, events.UUID{21}
	paged(t, pool, medium, 5, 4000)
	paged(t, pool, large, 300, 4000)
	bodies := map[events.UUID]string{}
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol", "simple_protocol&bytea_output=escape"} {
		cfg, err := pgxpool.ParseConfig(pool.Config().ConnString() + "&default_query_exec_mode=" + mode)
		if err != nil {
			t.Fatal(err)
		}
		asking, err := pgxpool.NewWithConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		x := export.NewReader(asking)
		a := start(t, x)
		for range 2 { // the second time their sizes are known
			for _, account := range []events.UUID{complete, medium, large} {
				got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account))
				if got.status != 200 || bodies[account] != "" && got.body != bodies[account] {
					t.Errorf("%s, %s: %d, %d bytes, want %d", mode, account, got.status, len(got.body), len(bodies[account]))
				}
				bodies[account] = got.body
			}
		}
		some := start(t, export.NewReader(asking)).ask(t, "GET", exportPath, "Authorization", bearer(t, large), "Range", "bytes=100000-109999")
		if some.status != 206 || some.body != bodies[large][100000:110000] {
			t.Errorf("%s, some of the large one: %d, %d bytes", mode, some.status, len(some.body))
		}
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				account := []events.UUID{complete, medium, {9}}[i%3]
				d, err := x.Open(t.Context(), account)
				if err != nil || d.State == export.Complete && d.Size() != int64(len(bodies[account])) {
					t.Errorf("%s, together: %s: %v", mode, account, err)
				}
				if err == nil {
					d.Close()
				}
			})
		}
		all.Wait()
		asking.Close()
	}
}

// TestUseOfRoomIsTold: Usage reports how much memory and, beyond that, file space is
// held and how many reads wait, and all of it is released.
func TestUseOfRoomIsTold(t *testing.T) {
	pool := database(t)
	medium, large := events.UUID{20}, events.UUID{21}
	paged(t, pool, medium, 5, 4000)
	paged(t, pool, large, 300, 4000)
	limits := export.Limits{Memory: 60_000, Dir: t.TempDir(), Files: 8 << 20}
	x := export.NewReader(pool, limits)
	of := func(which int) export.Usage {
		m, l := x.Usage()
		return []export.Usage{m, l}[which]
	}
	// The memory for the writers of files is not available to documents.
	if m, l := of(0), of(1); m.MemoryLimit != limits.Memory/2 || m.MemoryLimit+l.MemoryLimit > limits.Memory || m.FilesLimit+l.FilesLimit != limits.Files ||
		m.Memory+m.Files+l.Memory+l.Files != 0 || m.Waiting+l.Waiting != 0 {
		t.Errorf("nothing is read: %+v, %+v", m, l)
	}
	open := func(account events.UUID) *export.Document {
		t.Helper()
		d, err := x.Open(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open(medium)
	if u := of(0); u.Memory != d.Size() || u.Files != 0 {
		t.Errorf("a document of %d bytes: %+v", d.Size(), u)
	}
	d.Close()
	d = open(large)
	if u := of(1); u.Memory != 0 || u.Files != d.Size() {
		t.Errorf("a document of %d bytes: %+v", d.Size(), u)
	}
	d.Close()
	testrun.Eventually(t, "all is free again", func() bool { m, l := x.Usage(); return m.Memory+m.Files+l.Memory+l.Files == 0 })

	var many []*export.Document
	for n := 0; ; n++ { // until there is no room for another
		id := events.UUID{30, byte(n)}
		paged(t, pool, id, 300, 4000)
		opened := make(chan *export.Document, 1)
		go func() {
			d, err := x.Open(t.Context(), id)
			if err != nil {
				t.Error(err)
			}
			opened <- d
		}()
		testrun.Eventually(t, "it is open, or waits", func() bool { return len(opened) == 1 || of(1).Waiting == 1 })
		if len(opened) == 1 {
			d := <-opened
			if d == nil {
				return
			}
			many = append(many, d)
			continue
		}
		if free := of(1).FilesLimit - of(1).Files; free > 300*4000*3/2 || len(many) == 0 {
			t.Errorf("it waits with %d documents open and %d bytes free", len(many), free)
		}
		for _, d := range many {
			d.Close()
		}
		if d := <-opened; d != nil {
			d.Close()
		}
		break
	}
	testrun.Eventually(t, "all is free again", func() bool {
		m, l := x.Usage()
		return m.Memory+m.Files+l.Memory+l.Files == 0 && m.Waiting+l.Waiting == 0
	})
}

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

// TestFullSpoolDisk: when a document fits neither in memory nor on the disk, its
// clients are answered 503, none receives a part that looks complete, and others are
// served.
func TestFullSpoolDisk(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool, export.Limits{Memory: 1 << 20, Dir: t.TempDir()}))
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := limit
	small.Cur = 1 << 20 // of a file: beyond that, writing fails as on a full disk
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	checkProblem(t, a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked)), 503, "no-room")
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete)); got.status != 200 {
		t.Errorf("another one: %d", got.status)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(a.log.String(), "spool") {
		t.Errorf("the log does not say what is full: %s", a.log)
	}
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked)); got.status != 200 || len(got.body) < largePages*pageBytes {
		t.Errorf("once there is room: %d, %d bytes", got.status, len(got.body))
	}
}

// TestRanges: single ranges of uncompressed documents, of those that one statement
// reads and of one of which only some pages are read.
func TestRanges(t *testing.T) {
	const none = "none"
	pool := database(t)
	a := start(t, export.NewReader(pool))
	medium, large := events.UUID{20}, events.UUID{21}
	paged(t, pool, medium, 25, 4000)
	paged(t, pool, large, 300, 4000)
	for _, account := range []events.UUID{complete, medium, large} {
		whole := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account))
		size, etag := len(whole.body), whole.header.Get("Etag")
		end := fmt.Sprint(size)
		for _, test := range []struct {
			ranges, condition string // empty condition: no If-Range
			from, to          int    // of 206; both 0 for the whole document with 200
		}{
			{"bytes=0-0", none, 0, 1},
			{"bytes=0-", none, 0, size},
			{"BYTES=5-9", none, 5, 10},
			{"bytes=100-200000", none, 100, min(size, 200_001)},
			{"bytes=-1", none, size - 1, size},
			{"bytes=-900", none, size - 900, size},
			{"bytes=-99999999999999999999", none, 0, size},
			{"bytes=7-99999999999999999999", etag, 7, size},
			{"bytes=" + fmt.Sprint(size-1) + "-" + end, none, size - 1, size},
			{"bytes=0-1,4-5", none, 0, 0},
			{"bytes=5-4", none, 0, 0},
			{"bytes=-", none, 0, 0},
			{"bytes=a-b", none, 0, 0},
			{"bytes 0-1", none, 0, 0},
			{"lines=0-1", none, 0, 0},
			{"bytes=0-1", `"1.0-1-1"`, 0, 0},
			{"bytes=0-1", "", 0, 0},
			{"bytes=0-1", "W/" + etag, 0, 0},
			{"bytes=0-1", "Wed, 25 Nov 2026 00:00:00 GMT", 0, 0},
		} {
			headers := []string{"Authorization", bearer(t, account), "Range", test.ranges}
			if test.condition != none {
				headers = append(headers, "If-Range", test.condition)
			}
			got := a.ask(t, "GET", exportPath, headers...)
			status, span := 200, ""
			if test.to > 0 {
				status, span = 206, fmt.Sprintf("bytes %d-%d/%d", test.from, test.to-1, size)
			} else {
				test.to = size
			}
			if got.status != status || got.body != whole.body[test.from:test.to] || got.header.Get("Content-Range") != span ||
				got.header.Get("Etag") != etag || got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
				t.Errorf("%d bytes, %q, %q: %d, %d bytes, %q", size, test.ranges, test.condition, got.status, len(got.body), got.header.Get("Content-Range"))
			}
			head := a.ask(t, "HEAD", exportPath, headers...)
			if head.status != 200 || head.header.Get("Content-Length") != end || head.header.Get("Content-Range") != "" {
				t.Errorf("HEAD with %q: %d %v", test.ranges, head.status, head.header)
			}
		}
		for _, beyond := range []string{"bytes=" + end + "-", "bytes=-0"} {
			got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", beyond)
			checkProblem(t, got, 416, "range-not-satisfiable")
			if got.header.Get("Content-Range") != "bytes */"+end {
				t.Errorf("%q: %q", beyond, got.header.Get("Content-Range"))
			}
		}
		if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", "bytes=0-1", "If-None-Match", etag); got.status != 304 {
			t.Errorf("a range of what is known: %d", got.status)
		}
		checkProblem(t, a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", "bytes=0-1", "If-Match", `"1.0-1-1"`), 412, "precondition-failed")
		if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", "bytes=0-1", "If-Match", etag); got.status != 206 {
			t.Errorf("a range of what it is: %d", got.status)
		}
		coded := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", "bytes=0-1", "Accept-Encoding", "gzip")
		if coded.status != 200 || coded.header.Get("Etag") != "W/"+etag || string(decoded(t, "gzip", []byte(coded.body))) != whole.body {
			t.Errorf("a range of a coded answer: %d %v", coded.status, coded.header)
		}
	}
}
