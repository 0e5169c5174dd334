package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/pgbouncer"
	"accountexport/internal/local/port"
)

// TestAPoolerThatCannotWorkIsRefused: a program that cannot work through a pooler exits at start
// with status 2 and names what would work. A program that can work through it starts.
func TestAPoolerThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	pooler := func(settings ...string) *pgbouncer.Server {
		opt := pgbouncer.Options{URL: s.database, Settings: map[string]string{}}
		for _, setting := range settings {
			name, value, _ := strings.Cut(setting, "=")
			opt.Settings[name] = value
		}
		return pgbouncer.ForTest(t, opt)
	}
	const exec = "&default_query_exec_mode=exec"
	transactions, statements := pooler("pool_mode=transaction").URL(), pooler("pool_mode=statement").URL()
	single := pooler("pool_mode=session", "default_pool_size=1").URL()
	api := map[string]string{"HTTP_ADDR": "127.0.0.1:0", "JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret}
	for _, test := range []struct {
		what        string
		url, direct string
		program     string
		args        []string
		refused     string // what the refusal prints; "": it starts
		says        string // what it prints when it starts
	}{
		{"prepared statements", transactions, s.database, "projector", []string{"run"}, "default_query_exec_mode=exec or cache_describe in the URL would do", ""},
		{"prepared statements", transactions, s.database, "projector", []string{"status"}, "default_query_exec_mode=exec or cache_describe", ""},
		{"prepared statements", transactions, s.database, "api", nil, "default_query_exec_mode=exec or cache_describe", ""},
		{"described elsewhere", transactions + "&default_query_exec_mode=describe_exec", s.database, "projector", []string{"run"}, "describe_exec would run", ""},
		{"described elsewhere", transactions + "&default_query_exec_mode=describe_exec", "", "api", nil, "describe_exec would run", ""},
		{"no session", transactions + exec, "", "projector", []string{"run"}, "DATABASE_URL: a pooler of transactions is in between, and this needs a session of its own: DATABASE_DIRECT_URL has to name", ""},
		{"no session", transactions + exec, "", "projector", []string{"rebuild"}, "DATABASE_DIRECT_URL has to name", ""},
		{"no session", transactions + exec, "", "projector", []string{"provision"}, "DATABASE_DIRECT_URL has to name", ""},
		{"no session past it", transactions + exec, transactions + exec, "projector", []string{"run"}, "DATABASE_DIRECT_URL: a pooler of transactions", ""},
		{"no session", transactions + exec, s.database, "projector", []string{"relay"}, "OUTBOX_DATABASE_URL: a pooler of transactions is in between, and relay needs a session of its own", ""},
		{"statements", statements, s.database, "projector", []string{"relay"}, "OUTBOX_DATABASE_URL: a pooler is in between that pools statements", ""},
		{"statements", statements, s.database, "projector", []string{"run"}, "pool_mode = session or transaction would do", ""},
		{"statements", statements, s.database, "api", nil, "pool_mode = session or transaction would do", ""},
		{"no session", transactions + exec, "", "projector", []string{"status"}, "", ""},
		{"no session", transactions + exec, "", "api", nil, "", "told up to 100 ms later than with DATABASE_DIRECT_URL"},
		{"one connection alone", single, "", "api", nil, "", "whether it pools sessions"},
	} {
		t.Run(test.what+" "+test.program+strings.Join(test.args, " "), func(t *testing.T) {
			settings := maps.Clone(s.settings)
			if test.program == "api" {
				maps.Copy(settings, api)
			}
			settings["DATABASE_URL"], settings["DATABASE_DIRECT_URL"] = test.url, test.direct
			if len(test.args) > 0 && test.args[0] == "relay" {
				settings["OUTBOX_DATABASE_URL"] = test.url
			}
			if test.says != "" {
				p := launch(t, test.program, settings, test.args...)
				eventually(t, "it to go on", 20*time.Second, hasPrinted(p, test.says))
				p.kill()
				return
			}
			out, status := command(t, test.program, settings, test.args...)
			more := 0
			if len(test.args) > 0 && (test.args[0] == "run" || test.args[0] == "relay") && test.program == "projector" {
				more = 2 // two are log records
			}
			switch {
			case test.refused == "" && status == 2:
				t.Errorf("exit %d: %s", status, out)
			case test.refused != "" && (status != 2 || !strings.Contains(out, test.refused) || strings.Count(strings.TrimSpace(out), "\n") > more):
				t.Errorf("exit %d, want 2 and one line that says %q: %s", status, test.refused, out)
			}
		})
	}
}

// TestAPoolerThatComesLaterIsRefused: programs that start before the database can be reached refuse
// the pooler in the same way once it can be, and those that can work through it do.
func TestAPoolerThatComesLaterIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	listen, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = fmt.Sprint("127.0.0.1:", listen)
	settings := maps.Clone(s.settings)
	settings["DATABASE_URL"], settings["DATABASE_DIRECT_URL"] = u.String(), s.database
	wrong := map[string]*process{"projector": launch(t, "projector", settings, "run"), "api": nil}
	serve := freeAddr(t)
	api := s.apiSettings("127.0.0.1:0")
	api["DATABASE_URL"] = u.String()
	wrong["api"] = launch(t, "api", api)
	api["DATABASE_URL"], api["HTTP_ADDR"] = u.String()+"&default_query_exec_mode=exec", serve
	right := launch(t, "api", api)
	client := apiClient{serve}
	client.waitStatus(t, someone, "", http.StatusServiceUnavailable) // without a database
	eventually(t, "the projector to begin", 20*time.Second, hasPrinted(wrong["projector"], "starting again"))
	pgbouncer.ForTest(t, pgbouncer.Options{URL: s.database, Port: listen, Settings: map[string]string{"pool_mode": "transaction"}})
	for name, p := range wrong {
		if status := p.wait(); status != 2 || !strings.Contains(p.out.tail(2000), "default_query_exec_mode=exec or cache_describe in the URL would do") {
			t.Errorf("%s: exit %d: %s", name, status, p.out.tail(2000))
		}
	}
	eventually(t, "it to say that nobody tells it", 20*time.Second, hasPrinted(right, "told up to 100 ms later"))
	s.startProjector(t)
	client.waitStatus(t, someone, "", http.StatusNotFound)
}

// TestAPoolerThatCannotBeJudgedAtStartIsLookedAtAgain: where no second connection could be made, a
// program starts and says so. Once one can be made, it refuses the pooler that it cannot work through.
func TestAPoolerThatCannotBeJudgedAtStartIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, program := range []string{"api", "projector"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			listen, err := port.Free()
			if err != nil {
				t.Fatal(err)
			}
			pooler := pgbouncer.Options{URL: s.database, Port: listen, Settings: map[string]string{"pool_mode": "transaction", "max_client_conn": "1"}}
			full := pgbouncer.ForTest(t, pooler)
			settings, args, says := s.apiSettings("127.0.0.1:0"), []string(nil), "serving"
			if program == "projector" {
				settings, args, says = maps.Clone(s.settings), []string{"run"}, "starting again"
			}
			settings["DATABASE_URL"], settings["DATABASE_DIRECT_URL"] = full.URL(), s.database
			p := launch(t, program, settings, args...)
			eventually(t, "it to go on", 20*time.Second, hasPrinted(p, says))
			full.Stop()
			delete(pooler.Settings, "max_client_conn")
			pgbouncer.ForTest(t, pooler)
			if status := p.wait(); status != 2 || !strings.Contains(p.out.tail(2000), "default_query_exec_mode=exec or cache_describe in the URL would do") {
				t.Errorf("exit %d: %s", status, p.out.tail(2000))
			}
		})
	}
}
