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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// standby starts a server that follows the system's own.
func (s *system) standby(t *testing.T, name, by string, opt postgres.Options) *postgres.Server {
	t.Helper()
	standby, err := s.pg.Standby(t.Context(), name, by, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop(context.Background()) })
	return standby
}

// apiOn starts an API that reads a database, and gives where exports are.
func apiOn(t *testing.T, settings map[string]string) (url string, api *process) {
	t.Helper()
	addr := freeAddr(t)
	all := map[string]string{"HTTP_ADDR": addr, "ADMIN_ADDR": "127.0.0.1:0", "JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret, "LOG_FORMAT": "text", "LOG_LEVEL": "warn"}
	for k, v := range settings {
		all[k] = v
	}
	api = launch(t, "api", all)
	url = "http://" + addr + "/v1/account/export"
	eventually(t, "the API", 20*time.Second, func(ctx context.Context) error {
		_, _, _, err := get(ctx, url, "")
		return err
	})
	return url, api
}

func tokenOf(t *testing.T, id events.UUID) string {
	t.Helper()
	token, err := authtest.Mint(jwtSecret, issuer, id, "someone@example.org", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// profile publishes a change of an account, and gives its position.
func (s *system) profile(t *testing.T, id events.UUID, name string) uint64 {
	t.Helper()
	m, err := events.NewUserProfileUpdated(events.Meta{ID: fmt.Sprint("profile-", name, time.Now().UnixNano()), Source: "/test", Time: events.TimeOf(time.Now())},
		id, events.UserProfileUpdated{Name: events.Some(name)})
	if err != nil {
		t.Fatal(err)
	}
	position, _, err := s.client.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// waitFor asks for a position, and waits.
func waitFor(ctx context.Context, url, token string, position uint64, seconds int) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?min_position=%d", url, position), nil)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Prefer", fmt.Sprintf("wait=%d", seconds))
	return do(req)
}

// complete lists accounts that have a document.
func (s *system) complete(t *testing.T) (ids []events.UUID) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `
SELECT account_id FROM export_g1.account_export WHERE user_json IS NOT NULL AND team_json IS NOT NULL
    AND quota_tier_id IN (SELECT id FROM export_g1.quota_tiers) AND erased_at IS NULL ORDER BY account_id`)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range raw {
		ids = append(ids, id)
	}
	return ids
}

// TestAPIOnAStandby: an API that reads a streaming standby serves what the primary
// serves, to the byte; who asks for a position waits until the standby has it,
// though nobody can be notified there; reads that the standby ends, since they
// stand in the way of what it takes on, are tried again and nobody sees it, unless
// a long document has become another while it was sent.
func TestAPIOnAStandby(t *testing.T) {
	t.Parallel()
	sandboxes, want := 3000, 5
	if testrun.Long() {
		sandboxes, want = 20_000, 100
	}
	s := newServer(t, postgres.Options{})
	launch(t, "projector", s.settings, "run")
	if err := s.publish(t.Context(), workload.New(71, workload.Config{Accounts: 30, HostileShare: 0.05}), 1500, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	long := s.complete(t)[0]
	for i := range sandboxes {
		s.sandbox(t, long, i, "python")
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	// Whoever wants a standby that is never behind sets this, and has reads ended.
	standby := s.standby(t, "reading", "", postgres.Options{Settings: map[string]string{"max_standby_streaming_delay": "0"}})
	near, _ := apiOn(t, map[string]string{"DATABASE_URL": s.database})
	far, api := apiOn(t, map[string]string{"DATABASE_URL": standby.URL(), "LOG_LEVEL": "info"})
	same := func(id events.UUID) {
		t.Helper()
		token := tokenOf(t, id)
		status, header, body, err := get(t.Context(), near, token)
		if err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		position, err := strconv.ParseUint(header.Get("Export-Position"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		status, _, there, err := waitFor(t.Context(), far, token, position, 10)
		if err != nil || status != http.StatusOK || !bytes.Equal(body, there) {
			t.Errorf("account %s at %d: %d, %v, the same %t", id, position, status, err, bytes.Equal(body, there))
		}
	}
	for _, id := range s.complete(t) {
		same(id)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	var mu sync.Mutex
	var broken atomic.Int64
	answers := map[int]int{}
	for _, id := range append([]events.UUID{long, long, long}, s.complete(t)[1:4]...) {
		token := tokenOf(t, id)
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
					broken.Add(1) // it became another while it was read
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
			s.sandbox(t, long, rounds%sandboxes, "status")
			rounds += 1 + i*97
		}
		same(s.complete(t)[1])
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

// sandbox publishes that an account's sandbox is created, or has changed.
func (s *system) sandbox(t *testing.T, account events.UUID, i int, what string) uint64 {
	t.Helper()
	meta := events.Meta{ID: fmt.Sprint(what, i, "-", time.Now().UnixNano()), Source: "/test", Time: events.TimeOf(time.Now())}
	id := fmt.Sprint("sbx-", i)
	m, err := events.NewSandboxStatusChanged(meta, account, events.SandboxStatusChanged{ID: id, Status: fmt.Sprint("status ", time.Now().UnixNano())})
	if what != "status" {
		m, err = events.NewSandboxCreated(meta, account, events.SandboxCreated{ID: id, Template: what,
			Metadata: []byte(`{"note":"` + strings.Repeat("n", 600) + `"}`)})
	}
	if err != nil {
		t.Fatal(err)
	}
	position, _, err := s.client.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// TestBetweenTwoStandbys: a client that is sent to another API, whose standby is
// behind, may see its document go back; not if it asks for the position that it
// has seen: then it waits, or is told how far that is.
func TestBetweenTwoStandbys(t *testing.T) {
	t.Parallel()
	s := newServer(t, postgres.Options{})
	launch(t, "projector", s.settings, "run")
	if err := s.publish(t.Context(), workload.New(72, workload.Config{Accounts: 5}), 200, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	one := s.complete(t)[0]
	before := s.profile(t, one, "before")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	behind, ahead := s.standby(t, "behind", "", postgres.Options{}), s.standby(t, "ahead", "", postgres.Options{})
	old, _ := apiOn(t, map[string]string{"DATABASE_URL": behind.URL()})
	fresh, _ := apiOn(t, map[string]string{"DATABASE_URL": ahead.URL()})
	token := tokenOf(t, one)
	asks := func(url string, position uint64, wantStatus int, wantAt uint64) {
		t.Helper()
		status, header, body, err := waitFor(t.Context(), url, token, position, 1)
		if err != nil || status != wantStatus || status == http.StatusOK && header.Get("Export-Position") != fmt.Sprint(wantAt) {
			t.Errorf("%d, %v, at %s, want %d at %d: %.300s", status, err, header.Get("Export-Position"), wantStatus, wantAt, body)
		}
	}
	eventually(t, "both to have it", 20*time.Second, func(ctx context.Context) error {
		status, _, _, err := waitFor(ctx, old, token, before, 1)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d", status)
		}
		return err
	})
	stopped := connectTo(t, behind.URL())
	if _, err := stopped.Exec(t.Context(), `SELECT pg_wal_replay_pause()`); err != nil {
		t.Fatal(err)
	}
	after := s.profile(t, one, "after")
	eventually(t, "the fresh one to have it", 20*time.Second, func(ctx context.Context) error {
		status, _, _, err := waitFor(ctx, fresh, token, after, 1)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d", status)
		}
		return err
	})
	onStandby := maps.Clone(s.settings)
	onStandby["DATABASE_URL"] = ahead.URL()
	for _, act := range []string{"provision", "rebuild", "rollback"} {
		if out, status := command(t, "projector", onStandby, act); status != 2 || !strings.Contains(out, "takes no writes: it is a standby") {
			t.Errorf("%s on a standby: exit %d, want 2: %s", act, status, out)
		}
	}
	asks(fresh, after, http.StatusOK, after)
	asks(old, 0, http.StatusOK, before) // back, as is said
	asks(old, after, http.StatusServiceUnavailable, 0)
	if _, err := stopped.Exec(t.Context(), `SELECT pg_wal_replay_resume()`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other one to have it", 20*time.Second, func(ctx context.Context) error {
		status, _, _, err := waitFor(ctx, old, token, after, 10)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d", status)
		}
		return err
	})
	asks(old, after, http.StatusOK, after)
}
