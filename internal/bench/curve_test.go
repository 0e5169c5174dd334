package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/export"
	"accountexport/readmodel/store"
)

// documentSize is a size of documents and the accounts that have one of it.
type documentSize struct {
	bytes    int // about this many
	accounts int // that have a document of this size
	ids      []events.UUID
	size     int64
}

// BenchmarkCurve measures GET of documents of every size for several numbers of clients and
// distances of the database, against a bare handler with a pool of the same size that selects the
// same bytes by key: one row up to a megabyte, and beyond that rows of 256 kB that it sends as they
// come. It prints how many requests were refused, which should be none, and how much more time a
// byte takes from one size to the next. BENCH=short takes a few of the sizes, and BENCH=small those
// that one statement reads, with the database near.
func BenchmarkCurve(b *testing.B) {
	shapes := []*documentSize{{bytes: 1000, accounts: 100}, {bytes: 3000, accounts: 100},
		{bytes: 10_000, accounts: 100}, {bytes: 30_000, accounts: 100}, {bytes: 100_000, accounts: 30}, {bytes: 300_000, accounts: 20},
		{bytes: 1_000_000, accounts: 8}, {bytes: 5_000_000, accounts: 4}, {bytes: 38_000_000, accounts: 1}}
	clients, delays := []int{1, 8, 64, 256}, []time.Duration{0, 2 * time.Millisecond}
	const turn = 250 * time.Millisecond
	turns := 3
	if os.Getenv("BENCH") == "short" || testing.Short() {
		shapes = []*documentSize{shapes[1], shapes[2], shapes[5], shapes[7]}
		clients, delays, turns = []int{1, 64}, []time.Duration{0, 2 * time.Millisecond}, 2
	}
	if os.Getenv("BENCH") == "small" {
		shapes = []*documentSize{shapes[1], shapes[2], shapes[4], shapes[5]}
		clients, delays, turns = []int{1, 8, 64}, []time.Duration{0}, 6
	}
	r := newReport(b, "GET by size")
	s := newSizesDatabase(b, shapes)
	for b.Loop() {
		for _, delay := range delays {
			s.network.Set(tcpproxy.Shape{Delay: delay})
			bare, ours := s.serveBoth(b, delay > 0)
			for _, n := range clients {
				before := 0.0
				for _, sh := range shapes {
					turns := turns
					if sh.bytes > 1_000_000 && n > 64 {
						continue // the clients would wait for each other's bytes alone
					}
					if sh.bytes > 1_000_000 && n > 8 {
						turns = 1 // in which every client gets at least one answer
					}
					of := fmt.Sprintf("%d bytes, %d clients, %v away: ", sh.bytes, n, delay)
					rate := s.compare(b, r, of, sh, bare, ours, n, turns, turn)
					perByte := 1 / (rate * float64(sh.size))
					if before > 0 {
						r.add(of+"time a byte, over that of the size before", "×", perByte/before)
					}
					before = perByte
				}
			}
		}
	}
}

// sizesDatabase is a database with documents of every size.
type sizesDatabase struct {
	url, far string // the database's URL, and the one through the network
	network  *tcpproxy.Proxy
}

func newSizesDatabase(b *testing.B, shapes []*documentSize) *sizesDatabase {
	b.Helper()
	ctx := b.Context()
	pg, err := postgres.Start(ctx, postgres.Options{})
	postgres.Check(b, err)
	b.Cleanup(func() { _ = pg.Stop(context.Background()) })
	if err := readmodel.Migrate(ctx, pg.URL()); err != nil {
		b.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, pg.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	store := store.NewStore(pool, "bench", quiet())
	if _, err := store.Acquire(ctx, engine.StreamInfo{Name: "S", Created: time.Now(), Partitions: 16}); err != nil {
		b.Fatal(err)
	}
	store.Close(ctx)
	execute := func(sql string, args ...any) {
		b.Helper()
		if _, err := pool.Exec(ctx, sql, args...); err != nil {
			b.Fatal(err)
		}
	}
	execute(`INSERT INTO export_g1.quota_tiers (id, partition, position, body) VALUES ('free', 0, 3, $1)`,
		[]byte(`{"id":"free","display_name":"Free","max_concurrent_sandboxes":1,"daily_sandbox_creates":2,"daily_gb_hours":0.5}`))
	execute(`CREATE FUNCTION sandboxes(seed text, n integer) RETURNS bytea LANGUAGE sql AS $$
SELECT convert_to(string_agg(format('{"id":"sbx_%s","template":"code-interpreter-v1","status":"running","metadata":{"env":"production","run":"%s","owner":"%s"},"started_at":"2026-03-25T07:12:21.11211Z","destroyed_at":null,"created_at":"2026-03-25T07:12:21.11211Z","updated_at":"2026-03-25T07:12:21.11211Z"}',
    left(md5(seed || i), 16), md5(seed || i || 'r'), left(md5(seed || i || 'o'), 8)), ','), 'UTF8') FROM generate_series(1, n) i $$`)
	execute(`CREATE TABLE bare (account_id uuid, n integer, document bytea COMPRESSION lz4, PRIMARY KEY (account_id, n))`)
	exports := export.NewReader(pool)
	for i, sh := range shapes {
		const one, page = 330, 11 // bytes of a sandbox, and sandboxes of a page
		all := max(0, sh.bytes-800) / one
		pages, tail := 0, all
		if all > 18 {
			pages = (all - 8) / page
			tail = all - pages*page
		}
		for a := range sh.accounts {
			id := events.UUID{byte(i + 1)}
			binary.BigEndian.PutUint32(id[12:], uint32(a))
			execute(`
INSERT INTO export_g1.account_export (account_id, partition, position, parked, version_minor, quota_tier_id, usage_low,
    usage_pages, key_pages, sandbox_pages, waiting, user_json, team_json, usage_tail, keys_tail, sandboxes_tail)
VALUES ($1, 0, 77, 0, 0, 'free', '', 0, 0, $2, 0, $3, $4, '', '', coalesce(sandboxes($5, $6), ''))`, [16]byte(id), pages,
				[]byte(`{"id":"`+id.String()+`","email":"someone@example.org","tier":"free","x":"`+strings.Repeat("x", 250)+`"}`),
				[]byte(`{"id":"`+id.String()+`","name":"Some","x":"`+strings.Repeat("y", 150)+`"}`), id.String()+"t", tail)
			execute(`INSERT INTO export_g1.account_export_pages (account_id, section, page_key, body)
SELECT $1, 3, to_char(i, 'FM00000000'), sandboxes($2 || i, $4) FROM generate_series(1, $3) i`, [16]byte(id), id.String(), pages, page)
			d, err := exports.Open(ctx, id)
			if err != nil {
				b.Fatal(err)
			}
			var doc strings.Builder
			if _, err := d.WriteTo(&doc); err != nil {
				b.Fatal(err)
			}
			sh.size = d.Size()
			d.Close()
			piece := doc.Len()
			if piece > 1<<20 {
				piece = 256 << 10
			}
			for n, text := 0, doc.String(); len(text) > 0; n++ {
				some := text[:min(piece, len(text))]
				execute(`INSERT INTO bare VALUES ($1, $2, $3)`, [16]byte(id), n, []byte(some))
				text = text[len(some):]
			}
			sh.ids = append(sh.ids, id)
		}
	}
	execute(`VACUUM ANALYZE`)
	u, err := url.Parse(pg.URL())
	if err != nil {
		b.Fatal(err)
	}
	c := &sizesDatabase{url: pg.URL(), network: tcpproxy.ForTest(b, u.Host)}
	u.Host = c.network.Addr()
	c.far = u.String()
	return c
}

// serveBoth serves both handlers, each with its own pool.
func (s *sizesDatabase) serveBoth(b *testing.B, far bool) (bare, ours string) {
	b.Helper()
	at := s.url
	if far {
		at = s.far
	}
	pool := func() *pgxpool.Pool {
		p, err := connect.OpenAPIPool(b.Context(), at)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(p.Close)
		return p
	}
	selecting := pool()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := events.ParseUUID(r.URL.Query().Get("id"))
		w.Header().Set("Content-Type", "application/json")
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		w.Header().Set("Content-Length", strconv.Itoa(size))
		if size <= 1<<20 {
			var doc []byte
			if err := selecting.QueryRow(r.Context(), `SELECT document FROM bare WHERE account_id = $1 AND n = 0`, [16]byte(id)).Scan(&doc); err == nil {
				_, _ = w.Write(doc)
			}
			return
		}
		rows, err := selecting.Query(r.Context(), `SELECT document FROM bare WHERE account_id = $1 ORDER BY n`, [16]byte(id))
		if err != nil {
			return
		}
		defer rows.Close()
		for rows.Next() {
			if _, err := w.Write(rows.RawValues()[0]); err != nil {
				return
			}
		}
	}))
	b.Cleanup(server.Close)
	return server.Listener.Addr().String(), serveOurs(b, export.NewReader(pool()))
}

// compare measures both handlers in turns, and adds their rates, the ratio of their p99, and
// how many requests were refused. It gives the rate of ours.
func (s *sizesDatabase) compare(b *testing.B, r *report, of string, sh *documentSize, bare, ours string, clients, turns int, turn time.Duration) float64 {
	b.Helper()
	var bareRequests, ourRequests []string
	for _, id := range sh.ids {
		bareRequests = append(bareRequests, fmt.Sprintf("GET /?id=%s&size=%d HTTP/1.1\r\nHost: bench\r\n\r\n", id, sh.size))
		ourRequests = append(ourRequests, getExport(b, id))
	}
	left := dial(b, bare, clients)
	defer closeAll(left)
	loadAny(b, left, bareRequests, turn/4) // warm
	right := dial(b, ours, clients)        // dialled only now, since idle connections are closed
	defer closeAll(right)
	loadAny(b, right, ourRequests, turn/4)
	var bareT, ourT loadResult
	for range turns {
		theirs, mine := loadAny(b, left, bareRequests, turn), loadAny(b, right, ourRequests, turn)
		rate, ourRate := perSecond(len(theirs.times), theirs.took), perSecond(len(mine.times), mine.took)
		r.add(of+"bare handler", "requests/s", rate)
		r.add(of+"GET export", "requests/s", ourRate)
		r.add(of+"share", "%", 100*ourRate/rate)
		bareT.add(theirs)
		ourT.add(mine)
	}
	r.add(of+"p99 over the bare handler's", "×", percentile(ourT.times, 0.99).Seconds()/percentile(bareT.times, 0.99).Seconds())
	r.add(of+"refused", "requests", float64(bareT.refused+ourT.refused))
	return perSecond(len(ourT.times), ourT.took)
}
