package patroni

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// TestAnotherServerTakesOver: the primary is killed, and frozen, and each time another
// server is the primary, reached by the same two URLs, with what was committed; the
// former one comes back as a standby.
func TestAnotherServerTakesOver(t *testing.T) {
	if !testrun.Long() {
		t.Skip("a failover takes Patroni half a minute: `make test-long` has it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	c := ForTest(t, Options{Nodes: 3, Synchronous: true})
	count := func(url string) (n int, err error) {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		conn, err := pgx.Connect(once, url)
		if err != nil {
			return 0, err
		}
		defer conn.Close(ctx)
		return n, conn.QueryRow(once, `INSERT INTO kept VALUES (1) RETURNING (SELECT count(*) FROM kept)`).Scan(&n)
	}
	conn, err := pgx.Connect(ctx, c.ProxyURL("postgres"))
	if err == nil {
		_, err = conn.Exec(ctx, `CREATE TABLE kept (n int)`)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(ctx)
	want := 0
	for _, how := range []string{"killed", "frozen"} {
		was, err := c.Primary(ctx)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if how == "killed" {
			was.Kill()
		} else {
			was.Freeze()
		}
		for _, url := range []string{c.URL("postgres"), c.ProxyURL("postgres")} {
			for n, err := count(url); ; n, err = count(url) {
				if err == nil {
					if n < want { // more may be: of a commit whose answer was not waited for it is not known
						t.Fatalf("%d rows were kept, want %d", n, want)
					}
					want = n + 1
					break
				}
				if ctx.Err() != nil {
					t.Fatal(err)
				}
				time.Sleep(200 * time.Millisecond)
			}
			t.Logf("%s: written to after %.1f s by %s", how, time.Since(began).Seconds(), url)
		}
		if now, err := c.Primary(ctx); err != nil || now == was {
			t.Fatalf("%s is the primary still: %v", was.Name, err)
		}
		if how == "killed" {
			err = was.Start()
		} else {
			was.Thaw()
		}
		if err == nil {
			err = c.Whole(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: whole after %.1f s", how, time.Since(began).Seconds())
	}
}

// TestManualHasTheseSettings: what doc/availability.md says of Patroni and HAProxy is what is run
// here, but for addresses.
func TestManualHasTheseSettings(t *testing.T) {
	all, err := documents.Read("../../..")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{opt: Options{Synchronous: true}.withDefaults(), front: "127.0.0.1:5432"}
	between, err := tcpproxy.Start("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer between.Close()
	c.Nodes = []*Node{{Name: "pg1", c: c, addr: "10.0.0.1:5432", rest: "10.0.0.1:8008", between: between}}
	run := map[string]bool{}
	for line := range strings.Lines(c.Nodes[0].configuration() + c.proxyConfiguration()) {
		run[strings.TrimSpace(line)] = true
	}
	compared := 0
	for _, d := range all {
		_, section, _ := strings.Cut(d.Text, "\n## Settings\n")
		section, _, _ = strings.Cut(section, "\n## ")
		for _, b := range (documents.Document{Path: d.Path, Text: section}).Blocks() {
			for line := range strings.Lines(b.Text) {
				line = strings.TrimSpace(line)
				if d.Path != "doc/availability.md" || strings.HasPrefix(line, "server pg2") || strings.HasPrefix(line, "server pg3") {
					continue
				}
				if compared++; !run[line] {
					t.Errorf("%s has the setting %q, which is not what the tests run", d.Path, line)
				}
			}
		}
	}
	if compared < 15 {
		t.Errorf("only %d settings were compared", compared)
	}
}
