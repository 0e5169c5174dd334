package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/export"
	"accountexport/readmodel/store"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

const (
	largePages = 300 // more than the socket buffers hold
	fewPages   = 60  // more than is written before the length is known, compressed or not
	pageBytes  = 100_000
)

// plain requests no coding, so the answer is as long as the stored document.
var plain = &http.Client{Transport: &http.Transport{DisableCompression: true}}

// The parts of the stored documents.
const (
	userJSON = `{"id":"01000000-0000-0000-0000-000000000000","email":"a@example.com","tier":"free","quota_tier_id":"free",` +
		`"is_operator":false,"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z","name":null,"display_name":null,` +
		`"avatar_url":null,"email_verified_at":null,"soft_deleted_at":null,"delete_scheduled_at":null,"abuse_flags":{}}`
	teamJSON = `{"id":"02000000-0000-0000-0000-000000000000","name":"n","slug":"s","owner_user_id":"01000000-0000-0000-0000-000000000000",` +
		`"quota_tier_id":"free","created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z","soft_deleted_at":null}`
	tierJSON = `{"id":"free","display_name":"Free","max_concurrent_sandboxes":1,"daily_sandbox_creates":2,"daily_gb_hours":0.5}`
	keyJSON  = `{"id":"03000000-0000-0000-0000-000000000000","user_id":"01000000-0000-0000-0000-000000000000",` +
		`"team_id":"02000000-0000-0000-0000-000000000000","key_prefix":"sk_","name":"k","is_active":true,"created_at":"2026-01-02T03:04:05Z",` +
		`"last_used_at":null,"scope":"all","revoked_at":null,"expires_at":null,"rotation_parent_key_id":null}`
	sandboxJSON = `{"id":"last","template":"t","status":"pending","metadata":{},"started_at":null,"destroyed_at":null,` +
		`"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z"}`
)

// database sets up a live generation with an account of each kind. Two of the
// documents, the large and a smaller one, store their sandboxes in pages.
func database(t testing.TB) *pgxpool.Pool {
	t.Helper()
	ctx, url := t.Context(), postgres.TestDatabase(t)
	if err := readmodel.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store := store.NewStore(pool, "test", slog.New(slog.DiscardHandler))
	if _, err := store.Acquire(ctx, engine.StreamInfo{Name: "S", Created: time.Now(), Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	store.Close(ctx)
	row := func(id events.UUID, parked int, erased bool, team any, pages int) {
		t.Helper()
		_, err := pool.Exec(ctx, `
INSERT INTO export_g1.account_export (account_id, partition, position, parked, version_minor, erased_at, quota_tier_id, usage_low,
    usage_pages, key_pages, sandbox_pages, waiting, user_json, team_json, usage_tail, keys_tail, sandboxes_tail)
VALUES ($1, 0, 77, $2, 0, CASE WHEN $3 THEN now() END, 'free', '', 0, 0, $5, 0, $6::text::bytea, $4::text::bytea, '', $7::text::bytea, $8::text::bytea)`,
			[16]byte(id), parked, erased, team, pages, userJSON, keyJSON, sandboxJSON)
		if err != nil {
			t.Fatal(err)
		}
	}
	row(complete, 0, false, teamJSON, 0)
	row(parked, 2, false, teamJSON, largePages)
	row(somePages, 2, false, teamJSON, fewPages)
	row(incomplete, 0, false, nil, 0)
	row(erased, 0, true, nil, 0)
	for _, sql := range []string{
		`INSERT INTO export_g1.quota_tiers (id, partition, position, body) VALUES ('free', 0, 3, '` + tierJSON + `')`,
		`UPDATE export.checkpoints SET as_of = '2026-11-24T02:03:04.5Z'`,
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	for id, pages := range map[events.UUID]int{parked: largePages, somePages: fewPages} {
		_, err = pool.Exec(ctx, `
INSERT INTO export_g1.account_export_pages (account_id, section, page_key, body)
SELECT $1, 3, to_char(i, 'FM0000'), ('"' || repeat(chr(65 + i % 26), $3 - 2) || '"')::bytea FROM generate_series(1, $2) i`,
			[16]byte(id), pages, pageBytes)
		if err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

func TestStoredDocumentIsTheBody(t *testing.T) {
	a := start(t, export.NewReader(database(t)))
	got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete))
	want := `{"user":` + userJSON + `,"team":` + teamJSON + `,"quota_tier":` + tierJSON + `,"quota_usage":[],"api_keys":[` + keyJSON +
		`],"sandboxes":[` + sandboxJSON + `]}`
	if got.status != 200 || got.body != want || got.header.Get("Content-Length") == "" ||
		got.header.Get("Export-As-Of") != "2026-11-24T02:03:04.5Z" || got.header.Get("Export-Position") != "77" {
		t.Errorf("got %d %s %v", got.status, got.body, got.header)
	}
	etag := got.header.Get("Etag")
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete), "If-None-Match", etag); got.status != 304 {
		t.Errorf("its tag %s: got %d", etag, got.status)
	}
	for id, status := range map[events.UUID]int{incomplete: 503, erased: 410, unknown: 404} {
		if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, id)); got.status != status {
			t.Errorf("%s: got %d, want %d", id, got.status, status)
		}
	}
}

// TestFirstByteComesBeforeTheLast: the time to the first byte ends with the header,
// and not with the document.
func TestFirstByteComesBeforeTheLast(t *testing.T) {
	a := start(t, export.NewReader(database(t)))
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked)); got.status != 200 || len(got.body) < largePages*pageBytes {
		t.Fatalf("%d, %d bytes", got.status, len(got.body))
	}
	sums := map[string]float64{}
	testrun.Eventually(t, "it is counted", func() bool {
		families, err := a.reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if h := f.GetMetric()[0].GetHistogram(); h != nil && h.GetSampleCount() == 1 {
				sums[f.GetName()] = h.GetSampleSum()
			}
		}
		return sums["export_request_duration_seconds"] > 0
	})
	if first, whole := sums["export_time_to_first_byte_seconds"], sums["export_request_duration_seconds"]; first <= 0 || first >= whole {
		t.Errorf("the first byte came after %v s, the last after %v s", first, whole)
	}
}

func TestLargeDocumentIsStreamedWhole(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool))
	for _, method := range []string{"GET", "HEAD"} {
		got := a.ask(t, method, exportPath, "Authorization", bearer(t, somePages))
		if got.status != 200 || got.header.Get("Export-Parked") != "2" || got.header.Get("Content-Length") == "" {
			t.Errorf("%s: got %d %v", method, got.status, got.header)
		}
		if method == "GET" && (got.header.Get("Content-Length") != strconv.Itoa(len(got.body)) || !json.Valid([]byte(got.body)) || len(got.body) < fewPages*pageBytes) {
			t.Errorf("the body of %d bytes is not whole", len(got.body))
		}
	}
	testrun.Eventually(t, "all connections are back", func() bool { return pool.Stat().AcquiredConns() == 0 })
}

// TestClientThatLeavesGivesBackWhatItHolds: after a client disconnects in the middle
// of a document, its connection and its spool are free again.
func TestClientThatLeavesGivesBackWhatItHolds(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool))
	resp := a.begin(t, parked)
	resp.Body.Close()
	testrun.Eventually(t, "all connections are back", func() bool { return pool.Stat().AcquiredConns() == 0 })
	if strings.Contains(a.log.String(), "level=ERROR") {
		t.Errorf("logged as an error: %s", a.log)
	}
}

// TestLeavingCancelsTheQuery: when the client disconnects, its query is cancelled,
// here one that waits for a locked row.
func TestLeavingCancelsTheQuery(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool))
	a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete)) // makes the generation known
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `LOCK TABLE export_g1.account_export IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	waiting := func() (n int) {
		err := pool.QueryRow(t.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", a.url+exportPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", bearer(t, complete))
	left := make(chan error, 1)
	go func() {
		resp, err := plain.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		left <- err
	}()
	testrun.Eventually(t, "the query waits", func() bool { return waiting() == 1 })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	testrun.Eventually(t, "it is counted as one whose client left", func() bool { return a.answered(t, "499", reasonNone) == 1 })
	for _, why := range reasons() {
		if n := a.counted(t, why); n > 0 {
			t.Errorf("%d requests count as an outage: %s", n, why)
		}
	}
	began := time.Now()
	testrun.Eventually(t, "the query is cancelled", func() bool { return waiting() == 0 })
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it was the time-out that ended it, after %s", took)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete)); got.status != 200 {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
}

// BenchmarkExport compares the API with a bare handler that selects one row by its
// key and writes a body of the same length.
func BenchmarkExport(b *testing.B) {
	pool := database(b)
	_, err := pool.Exec(b.Context(), `UPDATE export_g1.account_export SET sandboxes_tail = ('"' || repeat(md5('x'), 110) || '"')::bytea
WHERE account_id = $1`, [16]byte(complete))
	if err != nil {
		b.Fatal(err)
	}
	v, err := auth.New(auth.Config{Issuer: issuer, Audience: "authenticated", Secret: sharedSecret}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body []byte
		err := pool.QueryRow(r.Context(), `SELECT sandboxes_tail FROM export_g1.account_export WHERE account_id = $1`, [16]byte(complete)).Scan(&body)
		if err != nil {
			w.WriteHeader(500)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	handlers := []struct {
		name string
		http.Handler
	}{{"bare", bare}, {"api", New(Config{Exports: export.NewReader(pool), Verifier: v})}}
	token := bearer(b, complete)
	for _, h := range handlers {
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := &sink{header: http.Header{}}
				r, err := http.NewRequest("GET", exportPath, nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Authorization", token)
				h.ServeHTTP(w, r)
				if w.n < 3000 {
					b.Fatalf("sent %d bytes", w.n)
				}
			}
		})
	}
}

type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { s.n += len(b); return len(b), nil }
