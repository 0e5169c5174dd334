package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
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
