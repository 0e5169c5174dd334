package readmodel_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/readmodel"
)

// used has all of a pool's connections be there, used a moment ago: those are
// taken for alive without a look.
func used(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var all []*pgxpool.Conn
	for range pool.Config().MaxConns {
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		c.Release()
	}
}

// TestAllConnectionsAreLostAtOnce: nobody is refused for it, whatever is read
// and however many read.
func TestAllConnectionsAreLostAtOnce(t *testing.T) {
	pool, s := open(t)
	a := largeAccount(t, pool, s, 300)
	u, err := url.Parse(pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	network := tcpproxy.ForTest(t, u.Host)
	u.Host = network.Addr()
	far, err := readmodel.OpenPool(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	x := readmodel.NewExports(far)
	readmodel.SetComeBack(x, time.Hour)
	_, want := read(t, readmodel.NewExports(pool), a.id)
	for range 5 {
		used(t, far)
		if n := network.Cut(); n < int(far.Config().MaxConns) {
			t.Fatalf("%d connections are cut", n)
		}
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				if _, body := read(t, x, a.id); body != want {
					t.Errorf("%d bytes, want %d", len(body), len(want))
				}
			})
		}
		all.Wait()
	}
}

// TestServerThatIsRestartedRefusesNobody who reads while it is.
func TestServerThatIsRestartedRefusesNobody(t *testing.T) {
	pg, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	if err := readmodel.Migrate(t.Context(), pg.URL()); err != nil {
		t.Fatal(err)
	}
	pool, err := readmodel.OpenPool(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := readmodel.NewStore(pool, "one", quiet)
	a := largeAccount(t, pool, s, 300)
	s.Close(t.Context())
	x := readmodel.NewExports(pool)
	readmodel.SetComeBack(x, time.Hour)
	_, want := read(t, x, a.id)
	used(t, pool)
	if err := pg.StopImmediate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if _, body := read(t, x, a.id); body != want {
				t.Errorf("%d bytes, want %d", len(body), len(want))
			}
		})
	}
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}
