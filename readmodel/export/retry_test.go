package export_test

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
	"accountexport/readmodel/connect"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// used opens all of a pool's connections, and uses them: the pool takes connections that
// were just used for alive without a ping.
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

// TestAllConnectionsAreLostAtOnce: no read is refused where all connections are lost
// at once, whatever is read and by however many.
func TestAllConnectionsAreLostAtOnce(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 300)
	u, err := url.Parse(pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	network := tcpproxy.ForTest(t, u.Host)
	u.Host = network.Addr()
	far, err := connect.OpenAPIPool(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	x := export.NewReader(far)
	export.SetReconnectWindow(x, time.Hour)
	_, want := readmodeltest.Read(t, export.NewReader(pool), a.ID)
	for range 5 {
		used(t, far)
		if n := network.Cut(); n < int(far.Config().MaxConns) {
			t.Fatalf("%d connections are cut", n)
		}
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				if _, body := readmodeltest.Read(t, x, a.ID); body != want {
					t.Errorf("%d bytes, want %d", len(body), len(want))
				}
			})
		}
		all.Wait()
	}
}

// TestServerThatIsRestartedRefusesNobody: no read is refused while the server
// restarts.
func TestServerThatIsRestartedRefusesNobody(t *testing.T) {
	pg, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	if err := readmodel.Migrate(t.Context(), pg.URL()); err != nil {
		t.Fatal(err)
	}
	pool, err := connect.OpenAPIPool(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := store.NewStore(pool, "one", readmodeltest.Quiet)
	a := readmodeltest.LargeAccount(t, pool, s, 300)
	s.Close(t.Context())
	x := export.NewReader(pool)
	export.SetReconnectWindow(x, time.Hour)
	_, want := readmodeltest.Read(t, x, a.ID)
	used(t, pool)
	if err := pg.StopImmediate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if _, body := readmodeltest.Read(t, x, a.ID); body != want {
				t.Errorf("%d bytes, want %d", len(body), len(want))
			}
		})
	}
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}
