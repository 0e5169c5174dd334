package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/stream"
	"accountexport/readmodel/connect"
)

// system is a NATS server with a stream, a database, and the settings with which programs reach
// them.
type system struct {
	nats     *natsserver.Process
	pg       *postgres.Server // only for a system with its own server
	database string           // its URL
	reads    string           // the URL for the API, if that is another one
	client   *stream.Client
	pool     *pgxpool.Pool
	settings map[string]string
	program  string // the file of the projector; "": the one that is tested
}

// with is the system with another projector.
func (s *system) with(program string) *system {
	other := *s
	other.program = program
	return &other
}

// projector is the file of the projector.
func (s *system) projector(t testing.TB) string {
	t.Helper()
	if s.program != "" {
		return s.program
	}
	return binary(t, "projector")
}

// newSystem has a database on the PostgreSQL server that most tests share.
func newSystem(t testing.TB) *system {
	t.Helper()
	return provision(t, &system{database: postgres.TestDatabase(t)})
}

// newServer has its own PostgreSQL server, for tests that stop it or look at all of its sessions.
func newServer(t testing.TB, opt postgres.Options) *system {
	t.Helper()
	pg, err := postgres.Start(t.Context(), opt)
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	return provision(t, &system{pg: pg, database: pg.URL()})
}

// provision starts a NATS server and provisions stream and database.
func provision(t testing.TB, s *system) *system {
	t.Helper()
	return provisionWith(t, s, binary(t, "projector"))
}

// provisionWith does so with the projector in a file.
func provisionWith(t testing.TB, s *system, projector string) *system {
	t.Helper()
	s.nats = natsserver.ProcessForTest(t, binary(t, "natsd"))
	return provisionAt(t, s, projector, stream.Config{URL: s.nats.URL()})
}

// provisionAt provisions on NATS servers that run already.
func provisionAt(t testing.TB, s *system, projector string, at stream.Config) *system {
	t.Helper()
	s.connect(t, at)
	eventually(t, "provisioning", time.Minute, func(context.Context) error { // servers of a cluster take a while to find each other
		if out, status := commandFile(t, projector, s.settings, "provision"); status != 0 {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})
	return s
}

// connect connects the test to stream and database, and fills the settings.
func (s *system) connect(t testing.TB, at stream.Config) {
	t.Helper()
	at.Logger = slog.New(slog.DiscardHandler)
	var err error
	if s.client, err = stream.Connect(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	s.openPool(t)
	s.settings = map[string]string{"NATS_URL": at.URL, "NATS_JS_DOMAIN": at.Domain, "DATABASE_URL": s.database, "ADMIN_ADDR": "127.0.0.1:0", "LOG_FORMAT": "text"}
}

// openPool connects the test to the database.
func (s *system) openPool(t testing.TB) {
	t.Helper()
	var err error
	if s.pool, err = pgxpool.New(t.Context(), s.database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.closePool)
}

// databaseAddr is the address at which PostgreSQL listens.
func (s *system) databaseAddr() string {
	c := s.pool.Config().ConnConfig
	return fmt.Sprintf("%s:%d", c.Host, c.Port)
}

// databaseBehind is the database's URL through a network of this shape.
func (s *system) databaseBehind(t *testing.T, shape tcpproxy.Shape) (url string) {
	t.Helper()
	network := tcpproxy.ForTest(t, s.databaseAddr())
	network.Set(shape)
	return s.databaseThrough(t, network)
}

// databaseThrough is the database's URL through a proxy.
func (s *system) databaseThrough(t *testing.T, network *tcpproxy.Proxy) string {
	t.Helper()
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = network.Addr()
	return u.String()
}

// slowDatabase is the database's URL through a network that passes this many bytes a second on each
// connection, so that everything that can queue does.
func (s *system) slowDatabase(t *testing.T, bytesPerSecond int) (url string) {
	t.Helper()
	return s.databaseBehind(t, tcpproxy.Shape{Delay: 5 * time.Millisecond, BytesPerSecond: bytesPerSecond})
}

// closePool does not wait for connections that a failed test has not released.
func (s *system) closePool() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connect.ClosePool(ctx, s.pool)
}
