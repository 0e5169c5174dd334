package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/pgbouncer"
	"accountexport/internal/local/postgres"
	"accountexport/internal/oracle"
	"accountexport/internal/workload"
)

// databaseRoutes are the ways in which programs connect to PostgreSQL, and the settings for each.
var databaseRoutes = []struct {
	name   string
	settle func(t *testing.T, s *system) map[string]string
}{
	{"direct", func(_ *testing.T, s *system) map[string]string { return map[string]string{"DATABASE_URL": s.database} }},
	{"session pooler", func(t *testing.T, s *system) map[string]string {
		return map[string]string{"DATABASE_URL": pgbouncer.ForTest(t, pgbouncer.Options{URL: s.database}).URL()}
	}},
	{"transaction pooler, exec", transactionPooler("exec")},
	{"transaction pooler, cache_describe", transactionPooler("cache_describe")},
	{"transaction pooler, simple_protocol", transactionPooler("simple_protocol")},
	// The projector writes to the primary; the API reads a standby and listens on the primary.
	{"standby", func(t *testing.T, s *system) map[string]string {
		s.reads = s.standby(t, "reading", "", postgres.Options{}).URL()
		return map[string]string{"DATABASE_URL": s.database, "DATABASE_DIRECT_URL": s.database}
	}},
}

func transactionPooler(mode string) func(t *testing.T, s *system) map[string]string {
	return func(t *testing.T, s *system) map[string]string {
		pooler := pgbouncer.ForTest(t, pgbouncer.Options{URL: s.database, Settings: map[string]string{"pool_mode": "transaction"}})
		return map[string]string{"DATABASE_URL": pooler.URL() + "&default_query_exec_mode=" + mode, "DATABASE_DIRECT_URL": s.database}
	}
}

// TestEveryWayToPostgres: by every route to PostgreSQL, `run`, the API, `rebuild`, `erase` and the
// takeover from a replica that freezes inside a transaction work as they do with a direct
// connection, and every document equals an independent fold.
func TestEveryWayToPostgres(t *testing.T) {
	t.Parallel()
	for _, way := range databaseRoutes {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, postgres.Options{})
			maps.Copy(s.settings, way.settle(t, s))
			s.settings["TAKEOVER_AFTER"] = "2s"
			for _, what := range []struct {
				name string
				does func(*testing.T)
			}{{"provision", s.checkProvisions}, {"run", s.checkProjects}, {"API", s.checkServes}, {"erase", s.checkErases}, {"rebuild", s.checkRebuilds}, {"take-over", s.checkTakeover}} {
				what.does(t)
				if t.Failed() {
					t.Fatalf("%s does not work", what.name)
				}
			}
			accounts, messages := s.checkAgainstOracle(t)
			t.Logf("%d accounts of %d messages compared", accounts, messages)
		})
	}
}

func (s *system) checkProvisions(t *testing.T) {
	t.Helper()
	s.mustRun(t, 0, "", "provision")
}

// checkProjects runs a projector and the commands that read. It also makes a document that takes
// several statements to read.
func (s *system) checkProjects(t *testing.T) {
	t.Helper()
	projector := s.startProjector(t)
	s.publishLarge(t, 3000)
	s.mustPublish(t, workload.New(7, workload.Config{Accounts: 100, HostileShare: 0.1, LargeShare: 0.02}), 3000)
	s.waitProjected(t)
	for line := range strings.Lines(projector.out.tail(1 << 20)) {
		if strings.Contains(line, "level=WARN") && !strings.Contains(line, "messages were parked") || strings.Contains(line, "starting again") {
			t.Errorf("it said %s", line)
		}
	}
	for _, args := range [][]string{{"status"}, {"verify", "--all"}, {"parked", "list"}, {"export", "--account", someone}, {"pause"}, {"resume"}} {
		s.checkRun(t, 0, "", args...)
	}
	projector.stop(t)
}

// checkServes asks for every account's document over HTTP, several times at once, and for one at a
// position that is yet to come.
func (s *system) checkServes(t *testing.T) {
	t.Helper()
	serve := freeAddr(t)
	api := launch(t, "api", s.apiSettings(serve))
	client := apiClient{serve}
	client.waitStatus(t, someone, "", http.StatusOK)
	fold, _ := s.foldByOracle(t)
	var all sync.WaitGroup
	for range 4 {
		for _, id := range fold.Accounts() {
			all.Go(func() {
				status, _, body, err := client.get(t.Context(), id, "")
				want := fold.Account(id)
				switch {
				case err != nil || (status == http.StatusOK) != (want.State == oracle.Complete):
					t.Errorf("account %s, %s: status %d, %v: %.300s", id, want.State, status, err, body)
				case status == http.StatusOK:
					if diff := oracle.Diff(want.Document, body); diff != "" {
						t.Errorf("account %s: %s", id, diff)
					}
				}
			})
		}
	}
	all.Wait()
	s.checkMinPosition(t, client)
	api.stop(t)
}

// apiSettings are the settings of an API that connects to the database as the projector does.
func (s *system) apiSettings(serve string) map[string]string {
	return map[string]string{"HTTP_ADDR": serve, "ADMIN_ADDR": "127.0.0.1:0", "JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret,
		"DATABASE_URL": cmp.Or(s.reads, s.settings["DATABASE_URL"]), "DATABASE_DIRECT_URL": s.settings["DATABASE_DIRECT_URL"]}
}

// checkMinPosition asks for a position that is published only afterwards.
func (s *system) checkMinPosition(t *testing.T, client apiClient) {
	t.Helper()
	next := fmt.Sprint("?min_position=", s.info(t).Last+1)
	if status, _, body, err := client.get(t.Context(), someone, next); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("a position that is not there, without Prefer: status %d, %v: %.300s", status, err, body)
	}
	projector := s.startProjector(t)
	g := workload.New(8, workload.Config{Accounts: 100})
	s.mustPublish(t, g, 100)
	client.waitStatus(t, someone, next, http.StatusOK)
	projector.stop(t)
}

func (s *system) checkErases(t *testing.T) {
	t.Helper()
	projector := s.startProjector(t)
	eventually(t, "the projector to follow", 20*time.Second, hasPrinted(projector, "following the stream"))
	s.erase(t, someone, 0, nothingLeft)
	projector.stop(t)
}

// checkRebuilds rebuilds beside a projector, twice, since the first generation is rolled back.
func (s *system) checkRebuilds(t *testing.T) {
	t.Helper()
	projector := s.startProjector(t)
	eventually(t, "the projector to follow", 20*time.Second, hasPrinted(projector, "following the stream"))
	for _, args := range [][]string{{"rebuild"}, {"rollback"}, {"generations", "drop", "2"}, {"rebuild", "--cutover=manual"}, {"cutover"}} {
		s.mustRun(t, 0, "", args...)
	}
	s.waitProjected(t)
	projector.stop(t)
}

// checkTakeover lets another replica continue where one has frozen inside a transaction that holds
// locks on checkpoints. Only the server can end that transaction.
func (s *system) checkTakeover(t *testing.T) {
	t.Helper()
	s.mustPublish(t, workload.New(9, workload.Config{Accounts: 3000}), 12_000)
	frozen := s.startFrozen(t)
	successor := s.startProjector(t)
	eventually(t, "everything to be taken over", time.Minute, s.caughtUp)
	eventually(t, "the transaction to be ended", 20*time.Second, func(ctx context.Context) error {
		if _, open := s.countSessions(t); open > 0 {
			return fmt.Errorf("%d are open", open)
		}
		return nil
	})
	frozen.signal(syscall.SIGCONT)
	eventually(t, "the thawed one to share", time.Minute, s.sharedEvenly(8, 8))
	for _, p := range []*process{frozen, successor} {
		p.stop(t)
	}
}

// startFrozen starts a replica that freezes inside a transaction of several round trips. It may
// take several attempts, since the replica continues to read while a commit is held.
func (s *system) startFrozen(t *testing.T) *process {
	t.Helper()
	waiting, release := s.holdCommits(t, "accountexport %/%")
	p := s.startProjector(t)
	for range 20 {
		waiting(1)
		p.signal(syscall.SIGSTOP)
		next, err := pgx.Connect(t.Context(), s.database)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { next.Close(context.Background()) })
		held := make(chan error, 1)
		go func() { // queued behind the held commit, and before any other
			_, err := next.Exec(t.Context(), `SELECT pg_advisory_lock(4711)`)
			held <- err
		}()
		eventually(t, "the next hold", 20*time.Second, func(ctx context.Context) error {
			var queued int
			err := s.pool.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted`).Scan(&queued)
			if err == nil && queued < 2 {
				err = errors.New("it is not in the queue")
			}
			return err
		})
		release()
		if err := <-held; err != nil {
			t.Fatal(err)
		}
		release = func() {
			if err := next.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the commit to end", 20*time.Second, func(context.Context) error {
			if active, _ := s.countSessions(t); active > 0 {
				return fmt.Errorf("%d are active", active)
			}
			return nil
		})
		if _, open := s.countSessions(t); open > 0 {
			release()
			return p
		}
		p.signal(syscall.SIGCONT)
	}
	t.Fatal("it has never frozen in the middle of a transaction")
	return nil
}

// countSessions counts the replicas' sessions that are active, and those that are idle in a
// transaction.
func (s *system) countSessions(t *testing.T) (active, open int) {
	t.Helper()
	err := s.pool.QueryRow(t.Context(), `
SELECT count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state LIKE 'idle in transaction%')
FROM pg_stat_activity WHERE application_name LIKE 'accountexport %/%'`).Scan(&active, &open)
	if err != nil {
		t.Fatal(err)
	}
	return active, open
}
