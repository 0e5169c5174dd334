package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// standby starts a standby of the system's PostgreSQL server.
func (s *system) standby(t *testing.T, name, by string, opt postgres.Options) *postgres.Server {
	t.Helper()
	standby, err := s.pg.Standby(t.Context(), name, by, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop(context.Background()) })
	return standby
}

// TestAPIOnAStandby: an API on a streaming standby serves the same bytes as one on the primary. A
// client that asks for a position waits until the standby has it, although LISTEN does not work
// there. Reads that the standby cancels because they conflict with replay are repeated without the
// client noticing, unless a long document changed while it was sent.
func TestAPIOnAStandby(t *testing.T) {
	t.Parallel()
	sandboxes, want := 3000, 5
	if testrun.Long() {
		sandboxes, want = 20_000, 100
	}
	s := newServer(t, postgres.Options{})
	s.startProjector(t)
	s.mustPublish(t, workload.New(71, workload.Config{Accounts: 30, HostileShare: 0.05}), 1500)
	s.waitProjected(t)
	long := s.completeAccounts(t)[0]
	for i := range sandboxes {
		s.publishSandboxEvent(t, long, i, "python")
	}
	s.waitProjected(t)
	// With this setting a standby is never behind, and cancels reads.
	standby := s.standby(t, "reading", "", postgres.Options{Settings: map[string]string{"max_standby_streaming_delay": "0"}})
	near, _ := startAPI(t, map[string]string{"DATABASE_URL": s.database})
	admin := freeAddr(t)
	far, api := startAPI(t, map[string]string{"DATABASE_URL": standby.URL(), "LOG_LEVEL": "info", "ADMIN_ADDR": admin})
	eventually(t, "the standby's metrics", time.Minute, hasMetrics(admin, "projector_partitions_unowned 0\n", "projector_erasures_unfinished 0\n"))
	if hasMetrics(admin, "projector_generation_abandoned ")(t.Context()) == nil {
		t.Error("an API on a standby says whether a generation is abandoned, which it cannot know")
	}
	checkSame := func(id events.UUID) {
		t.Helper()
		token := mintToken(t, id)
		status, header, body, err := get(t.Context(), near, token)
		if err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		position, err := strconv.ParseUint(header.Get("Export-Position"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		status, _, there, err := getAtPosition(t.Context(), far, token, position, 10)
		if err != nil || status != http.StatusOK || !bytes.Equal(body, there) {
			t.Errorf("account %s at %d: %d, %v, the same %t", id, position, status, err, bytes.Equal(body, there))
		}
	}
	for _, id := range s.completeAccounts(t) {
		checkSame(id)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	var mu sync.Mutex
	var broken atomic.Int64
	answers := map[int]int{}
	for _, id := range append([]events.UUID{long, long, long}, s.completeAccounts(t)[1:4]...) {
		token := mintToken(t, id)
		all.Go(func() {
			for ctx.Err() == nil {
				status, _, body, err := get(ctx, far, token)
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				answers[status]++
				mu.Unlock()
				if status == http.StatusOK && err != nil && id == long {
					broken.Add(1) // the document changed while it was read
					continue
				}
				if status != http.StatusOK || err != nil {
					t.Errorf("account %s: %d, %v: %.300s", id, status, err, body)
					return
				}
			}
		})
	}
	primary, reading := s.pool, connectTo(t, standby.URL())
	var conflicts, rounds int
	eventually(t, "the standby to end reads", 2*time.Minute, func(ctx context.Context) error {
		for i := range 40 {
			s.publishSandboxEvent(t, long, rounds%sandboxes, "status")
			rounds += 1 + i*97
		}
		checkSame(s.completeAccounts(t)[1])
		for _, table := range []string{"account_export", "account_export_pages"} {
			if _, err := primary.Exec(ctx, `VACUUM export_g1.`+table); err != nil {
				return err
			}
		}
		if err := reading.QueryRow(ctx, `SELECT confl_snapshot + confl_bufferpin + confl_lock + confl_deadlock FROM pg_stat_database_conflicts
WHERE datname = current_database()`).Scan(&conflicts); err != nil && !strings.Contains(err.Error(), "recovery") {
			return err
		}
		if conflicts < want {
			return fmt.Errorf("%d reads were ended, want %d", conflicts, want)
		}
		return nil
	})
	stop()
	all.Wait()
	t.Logf("%d reads were ended by the standby; answers %v; of the long one %d were broken off", conflicts, answers, broken.Load())
	if out := api.out.tail(1 << 26); !strings.Contains(out, "this database is a standby") || strings.Contains(out, "cannot listen") {
		t.Errorf("the API says %s", out)
	}
}

func connectTo(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// TestBetweenTwoStandbys: a client that changes to an API whose standby is behind may see its
// document go back. When it asks for the position that it has seen, it waits, or gets 503 with the
// current position.
func TestBetweenTwoStandbys(t *testing.T) {
	t.Parallel()
	s := newServer(t, postgres.Options{})
	s.startProjector(t)
	s.mustPublish(t, workload.New(72, workload.Config{Accounts: 5}), 200)
	s.waitProjected(t)
	one := s.completeAccounts(t)[0]
	before := s.publishProfile(t, one, "before")
	s.waitProjected(t)
	behind, ahead := s.standby(t, "behind", "", postgres.Options{}), s.standby(t, "ahead", "", postgres.Options{})
	old, _ := startAPI(t, map[string]string{"DATABASE_URL": behind.URL()})
	fresh, _ := startAPI(t, map[string]string{"DATABASE_URL": ahead.URL()})
	token := mintToken(t, one)
	checkAnswer := func(url string, position uint64, wantStatus int, wantAt uint64) {
		t.Helper()
		status, header, body, err := getAtPosition(t.Context(), url, token, position, 1)
		if err != nil || status != wantStatus || status == http.StatusOK && header.Get("Export-Position") != fmt.Sprint(wantAt) {
			t.Errorf("%d, %v, at %s, want %d at %d: %.300s", status, err, header.Get("Export-Position"), wantStatus, wantAt, body)
		}
	}
	waitAtPosition(t, old, token, before)
	stopped := connectTo(t, behind.URL())
	if _, err := stopped.Exec(t.Context(), `SELECT pg_wal_replay_pause()`); err != nil {
		t.Fatal(err)
	}
	after := s.publishProfile(t, one, "after")
	waitAtPosition(t, fresh, token, after)
	onStandby := maps.Clone(s.settings)
	onStandby["DATABASE_URL"] = ahead.URL()
	for _, act := range []string{"provision", "rebuild", "rollback"} {
		if out, status := command(t, "projector", onStandby, act); status != 2 || !strings.Contains(out, "takes no writes: it is a standby") {
			t.Errorf("%s on a standby: exit %d, want 2: %s", act, status, out)
		}
	}
	checkAnswer(fresh, after, http.StatusOK, after)
	checkAnswer(old, 0, http.StatusOK, before) // it has gone back
	checkAnswer(old, after, http.StatusServiceUnavailable, 0)
	if _, err := stopped.Exec(t.Context(), `SELECT pg_wal_replay_resume()`); err != nil {
		t.Fatal(err)
	}
	waitAtPosition(t, old, token, after)
	checkAnswer(old, after, http.StatusOK, after)
}
