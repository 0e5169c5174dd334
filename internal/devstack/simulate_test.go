package devstack_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/devstack"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/ops"
)

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// count is the result of a query for a number.
func count(t *testing.T, url, query string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// TestSimulateAlone: the control plane alone writes tiers, the accounts' history, and what
// happens to them to an outbox; is healthy; ends when asked to; and goes on from there.
func TestSimulateAlone(t *testing.T) {
	t.Parallel()
	database := postgres.TestDatabase(t)
	opt := devstack.SimulateOptions{Rate: 200, Accounts: 10, OutboxURL: database, AdminAddr: freeAddr(t)}
	histories := []int{}
	for round := range 2 {
		before := 0
		if round > 0 {
			before = count(t, database, `SELECT count(*) FROM outbox.messages WHERE id LIKE 'sim-%'`)
		}
		var out bytes.Buffer
		opt.Out = &out
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- devstack.Simulate(ctx, opt) }()
		eventually(t, "it to be ready", func() error {
			select {
			case err := <-ended:
				ended <- err
				t.Fatalf("it ended: %v", err)
			default:
			}
			resp, err := http.Get("http://" + opt.AdminAddr + "/readyz")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status)
			}
			return ops.Healthcheck(t.Context(), opt.AdminAddr)
		})
		eventually(t, "events", func() error {
			if n := count(t, database, `SELECT count(*) FROM outbox.messages WHERE id LIKE 'sim-%'`) - before; n < 50 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if said := out.String(); !strings.Contains(said, "no token: JWT_SECRET and JWT_ISSUER are not set") {
			t.Errorf("it said %q", said)
		}
		histories = append(histories, count(t, database, `SELECT count(*) FROM outbox.messages WHERE id LIKE 'history-%'`))
	}
	if histories[0] < 50 || histories[1] != histories[0] {
		t.Errorf("the histories have %v events", histories)
	}
	if n := count(t, database, `SELECT count(*) FROM outbox.messages WHERE subject LIKE 'controlplane.quota_tier.%'`); n != 2 {
		t.Errorf("%d tiers were defined", n)
	}
	if n := count(t, database, `SELECT count(*) FROM accounts`); n != opt.Accounts {
		t.Errorf("there are %d accounts", n)
	}
}

// TestSimulateLeavesSomebodysDatabaseAlone: a database that holds anything else is
// refused, and nothing is made in it.
func TestSimulateLeavesSomebodysDatabaseAlone(t *testing.T) {
	t.Parallel()
	database := postgres.TestDatabase(t)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `CREATE TABLE accounts (id uuid PRIMARY KEY, email text)`); err != nil {
		t.Fatal(err)
	}
	err = devstack.Simulate(t.Context(), devstack.SimulateOptions{Rate: 1, Accounts: 1, OutboxURL: database, AdminAddr: "127.0.0.1:0", Out: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "give it an empty database") {
		t.Errorf("%v", err)
	}
	if n := count(t, database, `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname IN ('public', 'outbox')`); n != 1 {
		t.Errorf("it has %d tables", n)
	}
}

// TestSimulatedEventsAreExported: what the control plane alone writes, the relay publishes,
// the projector folds, and the API serves to the token that was printed: as the services
// of docker-compose.yml are with its profile demo.
func TestSimulatedEventsAreExported(t *testing.T) {
	t.Parallel()
	dir := build(t)
	nats := natsserver.ForTest(t)
	database, outbox := postgres.TestDatabase(t), postgres.TestDatabase(t)
	secret, issuer, exports := "a secret of more than 32 bytes for tests", "https://issuer.example/auth/v1", freeAddr(t)
	program := func(name string, settings []string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(dir, name), args...)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "ADMIN_ADDR=127.0.0.1:0", "NATS_URL=" + nats.URL()}, settings...)
		return cmd
	}
	if out, err := program("projector", []string{"DATABASE_URL=" + database}, "provision").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	simulate := program("devstack", []string{"OUTBOX_DATABASE_URL=" + outbox, "JWT_SECRET=" + secret, "JWT_ISSUER=" + issuer}, "simulate", "--accounts", "4")
	said, err := simulate.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{
		simulate,
		program("projector", []string{"DATABASE_URL=" + database}, "run"),
		program("api", []string{"DATABASE_URL=" + database, "HTTP_ADDR=" + exports, "JWT_SECRET=" + secret, "JWT_ISSUER=" + issuer}),
	} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	token := ""
	for lines := bufio.NewScanner(said); token == "" && lines.Scan(); {
		if m := curl.FindStringSubmatch(lines.Text()); m != nil {
			token = m[1]
		}
	}
	if token == "" {
		t.Fatal("no token was printed")
	}
	relay := program("projector", []string{"OUTBOX_DATABASE_URL=" + outbox}, "relay")
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relay.Process.Kill(); _ = relay.Wait() })
	eventually(t, "an export", func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+exports+"/v1/account/export", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}
