package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/pgbouncer"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
)

// setup is one way in which a database can be set up.
type setup struct {
	name    string
	create  string   // options of CREATE DATABASE; default: as TestDatabase
	first   []string // statements of a superuser; %d is the database
	as      string   // the projector's user; default: a superuser
	refused string   // what provision prints when it refuses; "": it works
	then    []string // what makes it work afterwards; nil: nothing does
	slow    string   // how long a batch takes at least, in seconds
	long    bool     // only at length: another one is as hard
	warns   bool     // it is so slow that a replica may count as dead
}

const (
	isolation = `ALTER DATABASE %d SET default_transaction_isolation = serializable`
	makeRoles = `CREATE ROLE accountexport_projector NOLOGIN; CREATE ROLE accountexport_reader NOLOGIN`
)

// TestDatabasesSetUpOtherwise: however server, database and user are set up, provisioning,
// projecting, reading and rebuilding work, or are refused with status 2 and one sentence that says
// what makes them work.
func TestDatabasesSetUpOtherwise(t *testing.T) {
	t.Parallel()
	pg, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	for i, test := range []setup{ // the order matters: roles belong to the server
		{name: "a user that may create no roles", as: "plain",
			first:   []string{`CREATE ROLE plain LOGIN`, `ALTER DATABASE %d OWNER TO plain`},
			refused: "CREATE ROLE accountexport_projector NOLOGIN and CREATE ROLE accountexport_reader NOLOGIN and GRANT accountexport_projector TO plain, by somebody who may, would do",
			then:    []string{makeRoles, `GRANT accountexport_projector TO plain`}},
		{name: "a user that owns nothing", as: "Guest-1",
			first:   []string{`CREATE ROLE "Guest-1" LOGIN`},
			refused: "GRANT accountexport_projector TO \"Guest-1\" and GRANT CREATE, TEMPORARY ON DATABASE db_1 TO accountexport_projector, by somebody",
			then:    []string{`GRANT accountexport_projector TO "Guest-1"`, `GRANT CREATE, TEMPORARY ON DATABASE %d TO accountexport_projector`}},
		{name: "a user that may create roles", as: "maker", first: []string{`CREATE ROLE maker LOGIN CREATEROLE`, `ALTER DATABASE %d OWNER TO maker`}},
		{name: "a user that does not inherit", as: "heir",
			first:   []string{`CREATE ROLE heir LOGIN NOINHERIT`, `GRANT accountexport_projector TO heir`, `ALTER DATABASE %d OWNER TO heir`},
			refused: "ALTER ROLE heir INHERIT would do", then: []string{`ALTER ROLE heir INHERIT`}},
		{name: "serializable", first: []string{isolation}},
		{name: "repeatable read", long: true, first: []string{`ALTER DATABASE %d SET default_transaction_isolation = 'repeatable read'`}},
		{name: "timeouts", slow: "0.4", first: []string{`ALTER DATABASE %d SET statement_timeout = '200ms'`, `ALTER DATABASE %d SET lock_timeout = '1ms'`,
			`ALTER DATABASE %d SET idle_session_timeout = '300ms'`}},
		{name: "another search path", long: true, first: []string{`ALTER DATABASE %d SET search_path = elsewhere, "$user"`}},
		{name: "no search path", first: []string{`ALTER DATABASE %d SET search_path = ''`}},
		{name: "other formats", first: []string{`ALTER DATABASE %d SET bytea_output = escape`, `ALTER DATABASE %d SET datestyle = 'German'`,
			`ALTER DATABASE %d SET intervalstyle = sql_standard`, `ALTER DATABASE %d SET timezone = 'Asia/Kathmandu'`, `ALTER DATABASE %d SET client_encoding = LATIN1`,
			`ALTER DATABASE %d SET extra_float_digits = -5`, `ALTER DATABASE %d SET standard_conforming_strings = off`}},
		{name: "compiling", warns: true, first: []string{`ALTER DATABASE %d SET jit_above_cost = 0`, `ALTER DATABASE %d SET plan_cache_mode = force_generic_plan`}},
		{name: "LATIN1", create: "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", refused: "is encoded in LATIN1"},
		{name: "SQL_ASCII", long: true, create: "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'", refused: "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 would do"},
		{name: "read only", first: []string{`ALTER DATABASE %d SET default_transaction_read_only = on`},
			refused: "ALTER DATABASE or ALTER ROLE … RESET default_transaction_read_only", then: []string{`ALTER DATABASE %d RESET default_transaction_read_only`}},
	} {
		if test.long && !testrun.Long() {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			name := fmt.Sprint("db_", i)
			sql := func(text string) {
				t.Helper()
				execute(t, pg.URL(), strings.ReplaceAll(text, "%d", name))
			}
			if test.create == "" {
				test.create = "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
			}
			sql(`CREATE DATABASE %d TEMPLATE template0 ` + test.create)
			for _, text := range test.first {
				sql(text)
			}
			// The test's own connections are not subject to these timeouts.
			s := &system{database: databaseOf(t, pg, name, "") + "&idle_session_timeout=0&lock_timeout=0&statement_timeout=0"}
			s.startNATSAndConnect(t)
			s.settings["DATABASE_URL"] = databaseOf(t, pg, name, test.as)
			if test.refused != "" {
				out, status := command(t, "projector", s.settings, "provision")
				if status != 2 || !strings.Contains(out, test.refused) || strings.Count(out, "\n") != 1 {
					t.Fatalf("provision: exit %d, want 2 and one line with %q: %s", status, test.refused, out)
				}
				if test.then == nil {
					return
				}
				for _, text := range test.then {
					sql(text)
				}
			}
			s.checkWorks(t, test)
		})
	}
	t.Run("restored elsewhere", func(t *testing.T) { testRestoredElsewhere(t, pg) })
}

// startNATSAndConnect starts a NATS server without a stream, and connects to it and to the
// database.
func (s *system) startNATSAndConnect(t *testing.T) {
	t.Helper()
	s.nats = natsserver.ProcessForTest(t, binary(t, "natsd"))
	s.connect(t, stream.Config{URL: s.nats.URL()})
}

// databaseOf is the URL of a database on a server, as a user.
func databaseOf(t *testing.T, pg *postgres.Server, name, user string) string {
	t.Helper()
	u, err := url.Parse(pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	if user != "" {
		u.User = url.User(user)
	}
	return u.String()
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// checkWorks provisions, projects with two replicas, reads over HTTP as a user that may only read,
// and rebuilds.
func (s *system) checkWorks(t *testing.T, on setup) {
	t.Helper()
	s.checkProvisions(t)
	s.checkProvisions(t)
	if on.slow != "" {
		execute(t, s.database, `
CREATE FUNCTION export.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(`+on.slow+`); RETURN NULL; END $$;
CREATE TRIGGER slow BEFORE UPDATE OF position ON export.checkpoints FOR EACH STATEMENT EXECUTE FUNCTION export.slow()`)
	}
	one, two := s.startProjector(t), s.startProjector(t)
	s.publishLarge(t, 300)
	s.mustPublish(t, workload.New(17, workload.Config{Accounts: 100, HostileShare: 0.1, LargeShare: 0.02}), 1500)
	eventually(t, "two to share", time.Minute, s.sharedEvenly(8, 8))
	s.waitProjected(t)
	for _, p := range []*process{one, two} {
		if out := p.out.tail(1 << 20); strings.Contains(out, "reason=store") && !on.warns {
			t.Errorf("something was in its way: %s", out)
		}
	}
	for _, args := range [][]string{{"status"}, {"rebuild"}, {"verify", "--all"}} {
		s.checkRun(t, 0, "", args...)
	}
	s.checkReads(t)
	for _, p := range []*process{one, two} {
		p.stop(t)
	}
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}

// checkReads asks for a document through an API that connects as a member of the reading role.
func (s *system) checkReads(t *testing.T) {
	t.Helper()
	serve := freeAddr(t)
	execute(t, s.database, `
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN CREATE ROLE reader LOGIN IN ROLE accountexport_reader; END IF;
END $$`)
	settings := s.apiSettings(serve)
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("reader")
	settings["DATABASE_URL"] = u.String()
	api := launch(t, "api", settings)
	apiClient{serve}.waitStatus(t, someone, "", http.StatusOK)
	api.stop(t)
}

// testRestoredElsewhere restores a dump on a server that has none of the roles, and then as the
// refusal says.
func testRestoredElsewhere(t *testing.T, pg *postgres.Server) {
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	run := func(program string, args ...string) string {
		t.Helper()
		out, err := exec.Command(filepath.Join(binaries, program), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", program, err, out)
		}
		return string(out)
	}
	execute(t, pg.URL(), `CREATE DATABASE moved`)
	s := &system{database: databaseOf(t, pg, "moved", "")}
	s.startNATSAndConnect(t)
	s.checkWorks(t, setup{})
	dump := filepath.Join(t.TempDir(), "dump.sql")
	run("pg_dump", "-f", dump, s.database)

	elsewhere, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = elsewhere.Stop(context.Background()) })
	execute(t, elsewhere.URL(), `CREATE DATABASE first`)
	run("psql", "-q", "-f", dump, databaseOf(t, elsewhere, "first", "")) // without ON_ERROR_STOP, as psql is usually called
	there := maps.Clone(s.settings)
	there["DATABASE_URL"] = databaseOf(t, elsewhere, "first", "")
	for _, args := range [][]string{{"provision"}, {"run"}, {"rebuild"}} {
		lines := 1
		if args[0] == "run" {
			lines = 3 // two are log records
		}
		out, status := command(t, "projector", there, args...)
		if status != 2 || !strings.Contains(out, "belongs to postgres and not to accountexport_projector") || strings.Count(out, "\n") != lines {
			t.Errorf("%v: exit %d: %s", args, status, out)
		}
	}
	execute(t, elsewhere.URL(), makeRoles+`; CREATE ROLE reader LOGIN IN ROLE accountexport_reader`)
	api := s.apiSettings("127.0.0.1:0")
	api["DATABASE_URL"] = databaseOf(t, elsewhere, "first", "reader")
	if out, status := command(t, "api", api); status != 2 || !strings.Contains(out, "user reader may not read the tables: GRANT accountexport_reader TO reader would do, and where a dump") {
		t.Errorf("the API: exit %d: %s", status, out)
	}
	execute(t, elsewhere.URL(), `CREATE DATABASE second`)
	run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump, databaseOf(t, elsewhere, "second", ""))
	s.database, s.settings["DATABASE_URL"] = databaseOf(t, elsewhere, "second", ""), databaseOf(t, elsewhere, "second", "")
	s.closePool()
	s.openPool(t)
	s.checkProvisions(t)
	projector := s.startProjector(t)
	s.mustPublish(t, workload.New(18, workload.Config{Accounts: 100}), 300)
	s.waitProjected(t)
	s.checkRun(t, 0, "", "rebuild")
	s.checkReads(t)
	projector.stop(t)
	s.checkAgainstOracle(t)
}

// TestSettingsAPoolerCannotMakeAreRefused: through a pooler of transactions a session cannot change
// settings, so those that matter have to be right in the database.
func TestSettingsAPoolerCannotMakeAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, postgres.Options{})
	execute(t, s.database, `CREATE ROLE projector LOGIN IN ROLE accountexport_projector; CREATE ROLE api LOGIN IN ROLE accountexport_reader`)
	for _, test := range []struct{ program, set, refused string }{
		{"projector", `default_transaction_isolation = serializable`, "ALTER ROLE projector SET default_transaction_isolation = 'read committed' would do"},
		{"projector", `statement_timeout = '30s'`, "ALTER ROLE projector SET statement_timeout = 0 would do"},
		{"api", `statement_timeout = '1s'`, "ALTER ROLE api SET statement_timeout = 0 would do"},
		{"api", `statement_timeout = '30s'`, ""},
		{"api", `default_transaction_isolation = serializable`, "ALTER ROLE api SET default_transaction_isolation"},
		{"api", `bytea_output = escape`, "ALTER ROLE api SET bytea_output = hex"},
	} {
		execute(t, s.database, `ALTER DATABASE postgres SET `+test.set)
		pooler := pgbouncer.ForTest(t, pgbouncer.Options{URL: s.database, Users: []string{"projector", "api"}, Settings: map[string]string{"pool_mode": "transaction"}})
		settings := s.apiSettings("127.0.0.1:0")
		settings["NATS_URL"], settings["DATABASE_DIRECT_URL"] = s.nats.URL(), s.database
		settings["DATABASE_URL"] = pooler.URLAs(test.program, "default_query_exec_mode=exec")
		p := launch(t, test.program, settings, "run")
		if test.refused == "" {
			eventually(t, "it to serve", 20*time.Second, hasPrinted(p, "serving"))
			p.kill()
		} else if status := p.wait(); status != 2 || !strings.Contains(p.out.tail(4000), test.refused) {
			t.Errorf("%s with %s: exit %d: %s", test.program, test.set, status, p.out.tail(4000))
		}
		pooler.Stop()
		name, _, _ := strings.Cut(test.set, " ")
		execute(t, s.database, `ALTER DATABASE postgres RESET `+name)
	}
}
