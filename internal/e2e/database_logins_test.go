package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/outbox"
)

// TestLoginsOfCompose: deploy/logins.sql, which compose runs, gives each program a login that can
// do its work and no more, and can be run twice; so does deploy/control-plane.sql for the simulated
// control plane, in a database of its own. Both programs run with these logins, and
// --healthcheck, which their containers run, reports whether they live.
func TestLoginsOfCompose(t *testing.T) {
	t.Parallel()
	psql := testrun.Tool(t, "psql", "apt-get install postgresql-client")
	pg, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	s := newSystem(t)
	settings := map[string]string{"NATS_URL": s.settings["NATS_URL"], "DATABASE_URL": pg.URL(), "LOG_FORMAT": "text"}
	if out, status := command(t, "projector", settings, "provision"); status != 0 {
		t.Fatalf("exit %d: %s", status, out)
	}
	for range 2 {
		for _, file := range []string{"logins.sql", "control-plane.sql"} {
			cmd := exec.CommandContext(t.Context(), psql, "-X", "-q", "-f", "../../deploy/"+file, pg.URL())
			cmd.Env = append(os.Environ(), "PROJECTOR_PASSWORD=it's one", "API_PASSWORD=other", "CONTROL_PLANE_PASSWORD=it's a third")
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Fatalf("%s: %v: %s", file, err, out)
			}
		}
	}
	as := func(role string) string {
		u, err := url.Parse(pg.URL())
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.User(role)
		return u.String()
	}
	refused := func(role, sql string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), as(role))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %s: %v, want that it may not", role, sql, err)
		}
	}

	settings["DATABASE_URL"], settings["ADMIN_ADDR"] = as("projector"), freeAddr(t)
	projector := launch(t, "projector", settings, "run")
	api := map[string]string{"DATABASE_URL": as("api"), "JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret, "HTTP_ADDR": freeAddr(t), "ADMIN_ADDR": freeAddr(t)}
	serving := launch(t, "api", api)
	for name, program := range map[string]map[string]string{"projector": settings, "api": api} {
		eventually(t, name+" is ready by its own login", 30*time.Second, func(ctx context.Context) error {
			status, _, body, err := get(ctx, "http://"+program["ADMIN_ADDR"]+"/readyz", "")
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("%d %v: %s", status, err, body)
			}
			return nil
		})
		if out, status := command(t, name, map[string]string{"ADMIN_ADDR": program["ADMIN_ADDR"]}, "--healthcheck"); status != 0 || out != "" {
			t.Errorf("%s lives: exit %d: %s", name, status, out)
		}
	}
	refused("api", `DELETE FROM export_g1.account_export`)
	refused("api", `UPDATE export.checkpoints SET position = 1`)
	refused("api", `CREATE ROLE another`)
	refused("api", `CREATE SCHEMA another`)
	refused("projector", `CREATE ROLE another`)
	refused("control_plane", `CREATE ROLE another`)
	refused("control_plane", `SELECT FROM export.checkpoints`)

	plane, err := url.Parse(as("control_plane"))
	if err != nil {
		t.Fatal(err)
	}
	plane.Path = "/control_plane"
	conn, err := pgx.Connect(t.Context(), plane.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := outbox.Migrate(t.Context(), conn); err != nil {
		t.Errorf("the control plane cannot make its outbox: %v", err)
	}

	projector.kill()
	serving.kill()
	for name, program := range map[string]map[string]string{"projector": settings, "api": api} {
		if out, status := command(t, name, map[string]string{"ADMIN_ADDR": program["ADMIN_ADDR"]}, "--healthcheck"); status != 1 || !strings.Contains(out, "health check: ") {
			t.Errorf("%s has gone: exit %d: %s", name, status, out)
		}
	}
}
