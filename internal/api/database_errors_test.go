package api

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/export"
)

// failingDatabase is an API whose database fails in a way that the test sets up.
type failingDatabase struct {
	*api
	t       *testing.T
	direct  *pgxpool.Pool // not affected by the failure
	network *tcpproxy.Proxy
	url     *url.URL // the address that the API uses
	limits  export.Limits
	end     context.CancelFunc // stops the Waiter
}

func (d *failingDatabase) exec(sql string) {
	d.t.Helper()
	if _, err := d.direct.Exec(context.Background(), sql); err != nil {
		d.t.Fatal(err)
	}
}

// asRole has the API log in with a role of its own, with these options and grants.
func (d *failingDatabase) asRole(options string, grants ...string) {
	d.t.Helper()
	role := "trouble_" + strings.ToLower(rand.Text())
	d.exec(`CREATE ROLE ` + role + ` ` + options)
	d.t.Cleanup(func() { d.exec(`DROP OWNED BY ` + role); d.exec(`DROP ROLE ` + role) })
	for _, g := range grants {
		d.exec(`GRANT ` + g + ` TO ` + role)
	}
	d.url.User = url.User(role)
}

// hold starts a transaction that holds the statement's locks until the test ends.
func (d *failingDatabase) hold(sql string) {
	d.t.Helper()
	tx, err := d.direct.Begin(d.t.Context())
	if err == nil {
		_, err = tx.Exec(d.t.Context(), sql)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
}

func (d *failingDatabase) set(name, value string) {
	q := d.url.Query()
	q.Set(name, value)
	d.url.RawQuery = q.Encode()
}

// start starts the API. The failure may be set up before or after.
func (d *failingDatabase) start() {
	d.t.Helper()
	pool, err := connect.OpenAPIPool(d.t.Context(), d.url.String())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(pool.Close)
	d.t.Cleanup(func() { d.network.Cut() }) // before the pool is closed, which waits for its connections
	exports, waits := export.NewReader(pool, d.limits), export.NewWaiter(pool, slog.New(slog.DiscardHandler))
	waits.UseLiveness(exports)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- waits.Run(ctx) }()
	d.end = cancel
	d.t.Cleanup(func() { cancel(); <-ended })
	d.api = startWith(d.t, exports, sharedVerifier(d.t), func(c *Config) { c.Waiter = waits })
}

// serveOne sends one request, so that there are connections and the generation is
// known.
func (d *failingDatabase) serveOne() {
	d.t.Helper()
	d.start()
	for _, query := range []string{"", "?min_position=1"} {
		if got := d.get(query); got.status != 200 {
			d.t.Fatalf("before: %d %s", got.status, got.body)
		}
	}
}

func (d *failingDatabase) get(query string) answer {
	return d.ask(d.t, "GET", exportPath+query, "Authorization", bearer(d.t, complete))
}

// TestTroubleIsNamed: whatever keeps an export from being read, or a position from
// being looked up, is answered by the problem for that failure and counted under its
// reason: "busy" only while the database serves others, "unavailable" only while it
// is unreachable or silent, and the others where an operator has to act.
func TestTroubleIsNamed(t *testing.T) {
	const document, position, large = "", "?min_position=1", "large"
	lockAll := func(d *failingDatabase) {
		d.hold(`LOCK TABLE export_g1.account_export, export.checkpoints IN ACCESS EXCLUSIVE MODE`)
	}
	for _, test := range []struct {
		name    string
		trouble func(d *failingDatabase)
		kind    string
		reason  reason
		queries []string // default both
	}{
		{"the server is not there", func(d *failingDatabase) { d.network.Refuse(true); d.start() }, "unavailable", reasonDatabase, nil},
		{"the server has gone", func(d *failingDatabase) { d.serveOne(); d.network.Refuse(true); d.network.Cut() }, "unavailable", reasonDatabase, nil},
		{"the server is silent", func(d *failingDatabase) { d.serveOne(); d.network.Stall() }, "unavailable", reasonDatabase, nil},
		{"the server was silent from the first", func(d *failingDatabase) { d.network.Stall(); d.start() }, "unavailable", reasonDatabase, nil},
		{"a table is locked", func(d *failingDatabase) { d.serveOne(); lockAll(d) }, "unavailable", reasonDatabase, nil},
		{"the server's statement_timeout", func(d *failingDatabase) { d.set("statement_timeout", "100"); d.serveOne(); lockAll(d) }, "unavailable", reasonDatabase, nil},
		{"the server's lock_timeout", func(d *failingDatabase) { d.set("lock_timeout", "100"); d.serveOne(); lockAll(d) }, "unavailable", reasonDatabase, nil},

		{"too many connections", func(d *failingDatabase) {
			d.asRole("LOGIN CONNECTION LIMIT 1", "accountexport_reader")
			other, err := pgxpool.New(d.t.Context(), d.url.String())
			if err == nil {
				_, err = other.Acquire(d.t.Context())
			}
			if err != nil {
				d.t.Fatal(err)
			}
			d.t.Cleanup(func() {
				d.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '` + d.url.User.Username() + `'`)
			})
			d.start()
		}, "busy", reasonBusy, nil},
		{"no room for documents, which clients are slow to take", func(d *failingDatabase) {
			d.limits = export.Limits{Memory: 1, Dir: d.t.TempDir(), Files: 36 << 20}
			d.serveOne()
			resp := d.begin(d.t, parked)
			go func() { // 128 KiB at a time, which is slow
				for err := error(nil); err == nil; time.Sleep(200 * time.Millisecond) {
					_, err = io.CopyN(io.Discard, resp.Body, 128<<10)
				}
			}()
		}, "busy", reasonBusy, []string{large}},
		{"all connections read large documents", func(d *failingDatabase) {
			d.set("pool_max_conns", "2")
			d.serveOne()
			d.network.Set(tcpproxy.Shape{BytesPerSecond: 400_000})
			asked := d.request(d.t, parked)
			go func() {
				if resp, err := plain.Do(asked); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}()
			testrun.Eventually(d.t, "it is read", func() bool {
				var n int
				err := d.direct.QueryRow(d.t.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%SELECT section, body%' AND state = 'active'`).Scan(&n)
				return err == nil && n > 0
			})
		}, "busy", reasonBusy, []string{large}},

		{"nothing was projected yet", func(d *failingDatabase) { d.exec(`UPDATE export.generations SET state = 'retired'`); d.start() }, "not-set-up", reasonDatabase, nil},
		{"a schema of before", func(d *failingDatabase) { d.exec(`ALTER TABLE export.generations RENAME history TO h`); d.start() }, "not-set-up", reasonDatabase, nil},
		{"no schema", func(d *failingDatabase) { d.exec(`DROP SCHEMA export CASCADE`); d.start() }, "not-set-up", reasonDatabase, nil},
		{"a role that may read nothing", func(d *failingDatabase) { d.asRole("LOGIN"); d.start() }, "not-set-up", reasonDatabase, nil},
		{"the right to read is taken back", func(d *failingDatabase) {
			d.asRole("LOGIN", "accountexport_reader")
			d.serveOne()
			d.exec(`REVOKE accountexport_reader FROM ` + d.url.User.Username())
		}, "not-set-up", reasonDatabase, nil},
		{"a role that may not log in", func(d *failingDatabase) { d.asRole("NOLOGIN", "accountexport_reader"); d.start() }, "not-set-up", reasonDatabase, nil},
		{"no such role", func(d *failingDatabase) { d.url.User = url.User("nobody_of_that_name"); d.start() }, "not-set-up", reasonDatabase, nil},
		{"no such database", func(d *failingDatabase) { d.url.Path = "/no_such_database"; d.start() }, "not-set-up", reasonDatabase, nil},

		{"the document has never room", func(d *failingDatabase) {
			d.limits = export.Limits{Memory: 1, Dir: d.t.TempDir(), Files: 1 << 20}
			d.serveOne()
		}, "no-room", reasonOther, []string{large}},
		{"the folder for documents is gone", func(d *failingDatabase) {
			d.limits = export.Limits{Memory: 1, Dir: d.t.TempDir() + "/gone"}
			d.serveOne()
		}, "no-room", reasonOther, []string{large}},
		{"the program is ending", func(d *failingDatabase) { d.serveOne(); d.end() }, "ending", reasonOther, []string{position}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &failingDatabase{t: t, direct: database(t)}
			u, err := url.Parse(d.direct.Config().ConnString())
			if err != nil {
				t.Fatal(err)
			}
			d.exec(`UPDATE export.checkpoints SET position = 77`)
			d.network = tcpproxy.ForTest(t, u.Host)
			u.Host, d.url = d.network.Addr(), u
			test.trouble(d)
			queries := test.queries
			if queries == nil {
				queries = []string{document, position}
			}
			before := d.counted(t, test.reason)
			var asking sync.WaitGroup
			for _, query := range queries {
				for range 6 { // more than may be read at once, some of them
					asking.Go(func() {
						account, path := complete, exportPath+query
						if query == large {
							account, path = somePages, exportPath
						}
						got := d.ask(t, "GET", path, "Authorization", bearer(t, account))
						if got.status != 503 {
							t.Errorf("%q: got %d, want 503 %s", query, got.status, test.kind)
							return
						}
						checkProblem(t, got, 503, test.kind)
					})
				}
			}
			asking.Wait()
			if t.Failed() {
				t.Log(d.log)
			}
			testrun.Eventually(t, "all are counted", func() bool { return d.counted(t, test.reason) == before+6*len(queries) })
		})
	}
}

// TestSilentDatabaseIsNotBusy: with far more requests than connections, each for
// another account, the requests that time out waiting for a connection report that
// the database is silent.
func TestSilentDatabaseIsNotBusy(t *testing.T) {
	t.Parallel()
	d := &failingDatabase{t: t, direct: database(t)}
	u, err := url.Parse(d.direct.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	d.exec(`UPDATE export.checkpoints SET position = 77`)
	d.network = tcpproxy.ForTest(t, u.Host)
	u.Host, d.url = d.network.Addr(), u
	d.set("pool_max_conns", "2")
	d.serveOne()
	d.network.Stall()
	var asking sync.WaitGroup
	for i := range 200 {
		asking.Go(func() {
			account := []events.UUID{complete, parked, somePages, {9, byte(i)}}[i%4]
			query := []string{"", "", "?min_position=1"}[i%3]
			checkProblem(t, d.ask(t, "GET", exportPath+query, "Authorization", bearer(t, account)), 503, "unavailable")
		})
	}
	asking.Wait()
}
