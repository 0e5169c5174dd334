package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/testrun"
)

// rotation is the block of doc/security.md that gives a login another password.
func rotation(t *testing.T) string {
	t.Helper()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		for _, b := range d.Blocks() {
			if d.Path == "doc/security.md" && strings.Contains(b.Text, "ALTER ROLE api") {
				return b.Text
			}
		}
	}
	t.Fatal("doc/security.md does not say how a login gets another password")
	return ""
}

// TestRotatedPasswordEndsWhoHadTheOldOne follows doc/security.md on a server that asks for
// passwords, as somebody who may create roles and is no superuser: a new one alone leaves
// sessions of the old one open, and what the manual says ends them. Who serves by the old
// one says so and serves nobody; by the new one it serves.
func TestRotatedPasswordEndsWhoHadTheOldOne(t *testing.T) {
	t.Parallel()
	testrun.Tool(t, "psql", "apt-get install postgresql-client")
	s, _ := securedDatabase(t)
	var file string
	if err := s.pool.QueryRow(t.Context(), `SHOW hba_file`).Scan(&file); err != nil {
		t.Fatal(err)
	}
	// The administrators of this test go on without a password.
	if err := os.WriteFile(file, []byte("host all postgres,deployer 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// From version 16 on whoever has made a login has this of it, and nothing else.
	if _, err := s.pool.Exec(t.Context(), `DO $$ BEGIN
		CREATE ROLE deployer LOGIN CREATEROLE;
		IF current_setting('server_version_num')::int >= 160000 THEN
			EXECUTE 'GRANT api TO deployer WITH ADMIN TRUE, INHERIT FALSE, SET FALSE';
		END IF;
	END $$`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `SELECT pg_reload_conf()`); err != nil {
		t.Fatal(err)
	}
	by := func(user *url.Userinfo) string {
		u, err := url.Parse(s.database)
		if err != nil {
			t.Fatal(err)
		}
		u.User = user
		return u.String()
	}
	with := func(password string) string { return by(url.UserPassword("api", password)) }
	refused := func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, with("other"))
		if err == nil {
			conn.Close(ctx)
			return errors.New("the old password is taken")
		}
		if code := (*pgconn.PgError)(nil); !errors.As(err, &code) || code.Code != "28P01" {
			return err
		}
		return nil
	}
	export, api := startAPI(t, map[string]string{"DATABASE_URL": with("other")})
	token := mintToken(t, uuid(t, someone))
	if status, _, body, err := get(t.Context(), export, token); err != nil || status != http.StatusOK {
		t.Fatalf("by the first password: %d %v: %s", status, err, body)
	}
	thief, err := pgx.Connect(t.Context(), with("other"))
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close(context.Background())

	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", rotation(t))
	cmd.Env = append(os.Environ(), "ADMIN_DATABASE_URL="+by(url.User("deployer")), "API_URL="+with("another"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := refused(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "the thief's session has ended", 20*time.Second, func(ctx context.Context) error {
		if _, err := thief.Exec(ctx, `SELECT 1`); err == nil {
			return errors.New("it is still open")
		}
		return ctx.Err() // whose end ends a statement as well
	})
	eventually(t, "who has the old password serves nobody", 30*time.Second, func(ctx context.Context) error {
		status, _, _, err := get(ctx, export, token)
		if err == nil && status != http.StatusServiceUnavailable {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	if out := api.out.tail(1 << 20); strings.Contains(out, "other@") {
		t.Errorf("the log shows the old password: %s", out)
	}
	export, _ = startAPI(t, map[string]string{"DATABASE_URL": with("another")})
	if status, _, body, err := get(t.Context(), export, token); err != nil || status != http.StatusOK {
		t.Errorf("by the new password: %d %v: %s", status, err, body)
	}
}

// TestChangedNATSUserLosesItsConnection: where a server's configuration gives a user
// another password, or has it no more, and is loaded again, a connection by the old one
// is closed, and does not come back.
func TestChangedNATSUserLosesItsConnection(t *testing.T) {
	t.Parallel()
	users := func(list string) string { return "jetstream: enabled\nauthorization { users: [ " + list + " ] }" }
	const other = `{ user: other, password: other }`
	for name, after := range map[string]string{"another password": `{ user: producer, password: new }, ` + other, "no such user": other} {
		srv := natsserver.ForTestWith(t, users(`{ user: producer, password: old }, `+other))
		lost := make(chan struct{}, 100)
		thief, err := nats.Connect(srv.URL(), nats.UserInfo("producer", "old"), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(5),
			nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		stays, err := nats.Connect(srv.URL(), nats.UserInfo("other", "other"), nats.NoReconnect())
		if err != nil {
			t.Fatal(err)
		}
		defer stays.Close()
		if err := srv.Reload(users(after)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-lost:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the connection stays", name)
		}
		if err := stays.FlushTimeout(10 * time.Second); err != nil {
			t.Errorf("%s: others lose theirs: %v", name, err)
		}
		if _, err := nats.Connect(srv.URL(), nats.UserInfo("producer", "old")); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: by the old password: %v", name, err)
		}
	}
}
