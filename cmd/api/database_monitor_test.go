package main

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/store"
)

// logged is what a program has logged so far.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *logged) after(mark string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, rest, _ := strings.Cut(l.text.String(), mark)
	end := strings.IndexAny(rest, " \n") // up to the next word or line
	return rest[:max(0, end)]
}

// TestDatabaseIsLostAndFound: while the database is unreachable, is silent or does
// not let the API read, export_database_up is 0. The log says once that it is lost
// and once that it is back, however often it is checked and whatever requests come
// meanwhile.
func TestDatabaseIsLostAndFound(t *testing.T) {
	t.Parallel()
	direct := postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), direct); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	network := tcpproxy.ForTest(t, u.Host)
	u.Host = network.Addr()
	log := &logged{}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, nil, []string{"DATABASE_URL=" + u.String(), "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "DRAIN_DELAY=1ms",
			"JWT_ISSUER=http://localhost:54321/auth/v1", "JWT_SECRET=" + secret, "LOG_FORMAT=text"}, log, io.Discard)
	}()
	t.Cleanup(func() { stop(); <-ended })
	testrun.Eventually(t, "it serves", func() bool { return log.after(" admin=") != "" })
	admin := "http://" + log.after(" admin=") + "/metrics"
	up := func(want string) bool {
		_, body := get(t, admin, "")
		return strings.Contains(body, "\nexport_database_up "+want+"\n")
	}
	const lost, found = `msg="lost the database`, `msg="found the database`

	testrun.Eventually(t, "there is nothing to read yet", func() bool { return log.count("exports cannot be read from the database yet") == 1 })
	if !up("0") || log.count(lost)+log.count(found) > 0 {
		t.Errorf("without a generation: %s", log.text.String())
	}
	store := store.NewStore(pool, "test", slog.New(slog.DiscardHandler))
	if _, err := store.Acquire(t.Context(), engine.StreamInfo{Name: "S", Created: time.Now(), Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	store.Close(t.Context())
	testrun.Eventually(t, "it is found", func() bool { return up("1") && log.count(found) == 1 })

	for i, trouble := range []struct {
		name        string
		begins, end func()
	}{
		{"silent", network.Stall, func() { network.Blackhole(); network.Resume() }},
		{"away", func() { network.Refuse(true); network.Cut() }, func() { network.Refuse(false) }},
		{"not for this program", func() {
			execute(t, pool, `ALTER TABLE export.generations RENAME TO g; ALTER TABLE export_g1.account_export RENAME TO a`)
		},
			func() {
				execute(t, pool, `ALTER TABLE export.g RENAME TO generations; ALTER TABLE export_g1.a RENAME TO account_export`)
			}},
	} {
		trouble.begins()
		testrun.Eventually(t, trouble.name, func() bool { return up("0") && log.count(lost) == i+1 })
		for range 3 {
			get(t, strings.Replace(admin, "/metrics", "/readyz", 1), "")
		}
		if n, m := log.count(lost), log.count(found); n != i+1 || m != i+1 {
			t.Errorf("%s: lost %d times, found %d times, want %d each", trouble.name, n, m, i+1)
		}
		trouble.end()
		testrun.Eventually(t, trouble.name+" no longer", func() bool { return up("1") && log.count(found) == i+2 })
	}
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Error(err)
	}
}
