package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/export"
)

// throughProxy opens a pool to the same database over a proxy that can disturb the
// network.
func throughProxy(t *testing.T, pool *pgxpool.Pool) (*tcpproxy.Proxy, *pgxpool.Pool) {
	t.Helper()
	u, err := url.Parse(pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	network := tcpproxy.ForTest(t, net.JoinHostPort(u.Hostname(), u.Port()))
	u.Host = network.Addr()
	out, err := connect.OpenAPIPool(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	t.Cleanup(func() { network.Cut() }) // before the pool is closed, which waits for its connections
	return network, out
}

// TestLostNetworkToTheDatabase: while every packet to PostgreSQL is dropped, requests
// are answered all the same, and large documents under way are broken off. Once the
// network works again, exports do too, although the old connections are never closed.
func TestLostNetworkToTheDatabase(t *testing.T) {
	t.Parallel()
	direct := database(t)
	if _, err := direct.Exec(t.Context(), `UPDATE export.checkpoints SET position = 77`); err != nil {
		t.Fatal(err)
	}
	network, pool := throughProxy(t, direct)
	waits := export.NewWaiter(pool, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = waits.Run(ctx) }()
	a := startWith(t, export.NewReader(pool), sharedVerifier(t), func(c *Config) { c.Waiter = waits })
	get := func(query string, headers ...string) answer {
		return a.ask(t, "GET", exportPath+query, append(headers, "Authorization", bearer(t, complete))...)
	}
	for _, query := range []string{"", "?min_position=1"} {
		if got := get(query); got.status != 200 {
			t.Fatalf("before: %d %s", got.status, got.body)
		}
	}
	large := a.begin(t, parked)
	if _, err := io.CopyN(io.Discard, large.Body, pageBytes); err != nil {
		t.Fatal(err)
	}

	network.Stall()
	var all sync.WaitGroup
	for i := range 3 * int(pool.Config().MaxConns) {
		all.Go(func() {
			query := []string{"", "", "?min_position=1"}[i%3]
			if got := get(query); got.status != 503 || got.header.Get("Retry-After") == "" {
				t.Errorf("the network is lost, %q: %d %s", query, got.status, got.body)
			}
		})
	}
	all.Go(func() {
		if got := get("", "If-None-Match", "*"); got.status != 503 {
			t.Errorf("the network is lost, with a tag: %d %s", got.status, got.body)
		}
	})
	all.Go(func() {
		if n, err := io.Copy(io.Discard, large.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the large document: %d bytes more and %v, want an unexpected end", n, err)
		}
	})
	all.Wait()
	network.Blackhole()
	network.Resume()
	back := time.Now()
	testrun.Eventually(t, "exports are served again", func() bool { return get("").status == 200 })
	testrun.Eventually(t, "positions are found again", func() bool { return get("?min_position=1").status == 200 })
	t.Logf("served again after %s", time.Since(back))
	testrun.Eventually(t, "all connections are back", func() bool { return pool.Stat().AcquiredConns() == 0 })
}
