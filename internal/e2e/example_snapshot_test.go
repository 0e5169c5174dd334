package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
)

const snapshotSQL = "examples/postgres/snapshot.sql"

// snapshotOnce: after the import, the commands that take a snapshot fail, whichever, and
// leave the file and the outbox as they were.
func snapshotOnce(t *testing.T, dir string, env map[string]string, blocks []documents.Block) {
	t.Helper()
	file := filepath.Join(dir, "snapshot.ndjson")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	waiting := waitingEvents(t, env["OUTBOX_DATABASE_URL"])
	tried := 0
	for _, b := range blocks {
		if strings.Contains(b.Text, snapshotSQL) {
			tried++
			if out, err := shell(t, dir, env, b.Text); err == nil {
				t.Errorf("%s succeeds after the import: %s", b.At(), out)
			}
		}
	}
	if tried != 2 {
		t.Errorf("%d blocks take a snapshot, want 2", tried)
	}
	out, err := shell(t, dir, env, `psql "$OUTBOX_DATABASE_URL" --file `+snapshotSQL)
	if err == nil || !strings.Contains(out, "a snapshot was taken already") {
		t.Errorf("a second snapshot: %v, %s", err, out)
	}
	after := waitingEvents(t, env["OUTBOX_DATABASE_URL"])
	if len(waiting) == 0 || len(after) < len(waiting) {
		t.Fatalf("%d events waited, and %d do after a second snapshot was refused", len(waiting), len(after))
	}
	if diff := cmp.Diff(waiting, after[:len(waiting)]); diff != "" {
		t.Errorf("what waited: -before +after a second snapshot was refused:\n%s", diff)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(before) {
		t.Errorf("the imported file is another one, or %v", err)
	}
}

// waitingEvents are the ids of what waits in the outbox, in the order of their numbers.
func waitingEvents(t *testing.T, database string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `SELECT id FROM outbox.messages ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// shell runs a script, and gives what it prints.
func shell(t *testing.T, dir string, env map[string]string, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Dir = dir
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestExampleSnapshotIsTakenOnce: the example's snapshot is refused while a relay runs,
// once one may have published, and once one was taken, and then nothing has changed. Each
// way out that it names leads out, and none leads around a relay that has published.
func TestExampleSnapshotIsTakenOnce(t *testing.T) {
	t.Parallel()
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	pg, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	nats := natsserver.ProcessForTest(t, binary(t, "natsd"))
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// The outbox and the read model are in one database here.
	env := map[string]string{"PATH": binaries + ":" + os.Getenv("PATH"), "DATABASE_URL": pg.URL(), "OUTBOX_DATABASE_URL": pg.URL(), "NATS_URL": nats.URL()}
	psql := func(args string) (string, error) {
		return shell(t, root, env, `psql "$OUTBOX_DATABASE_URL" --quiet `+args)
	}
	must := func(args string) {
		t.Helper()
		if out, err := psql(args); err != nil {
			t.Fatalf("psql %s: %v, %s", args, err, out)
		}
	}
	refused := func(args, want string) {
		t.Helper()
		before := waitingEvents(t, pg.URL())
		if out, err := psql(args + " --file " + snapshotSQL); err == nil || !strings.Contains(out, want) {
			t.Errorf("snapshot %s: %v, %s; want it refused with %q", args, err, out, want)
		}
		if diff := cmp.Diff(before, waitingEvents(t, pg.URL())); diff != "" {
			t.Errorf("-before +after a snapshot that was refused:\n%s", diff)
		}
	}
	taken := func(args string) {
		t.Helper()
		out, err := psql(args + " --file " + snapshotSQL)
		if err != nil || !strings.HasPrefix(out, "{") || !strings.Contains(out, "user.registered") {
			t.Fatalf("snapshot %s: %v, %s", args, err, out)
		}
		if n := len(waitingEvents(t, pg.URL())); n > 0 {
			t.Errorf("%d events wait after a snapshot that holds them", n)
		}
	}
	relay := func() *process {
		t.Helper()
		env := maps.Clone(env)
		env["ADMIN_ADDR"] = freeAddr(t)
		p := launch(t, "projector", env, "relay")
		eventually(t, "the relay to be ready", 30*time.Second, func(ctx context.Context) error {
			status, _, body, err := get(ctx, "http://"+env["ADMIN_ADDR"]+"/readyz", "")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%d: %s", status, body)
			}
			if err != nil {
				return err
			}
			if out, err := psql(`-At --command "SELECT stream_name FROM outbox.relay"`); err != nil || strings.TrimSpace(out) == "" {
				return fmt.Errorf("it has no stream yet: %v, %s", err, out)
			}
			return nil
		})
		return p
	}
	gone := func() {
		t.Helper()
		eventually(t, "PostgreSQL to notice that the relay has ended", 20*time.Second, func(context.Context) error {
			if out, err := psql(`-At --command "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"`); err != nil || strings.TrimSpace(out) != "0" {
				return fmt.Errorf("locks: %s, %v", out, err)
			}
			return nil
		})
	}
	change := func() { must(`--command "UPDATE users SET name = 'Another' WHERE tier = 'pro'"`) }

	if out, status := command(t, "projector", env, "provision"); status != 0 {
		t.Fatal(out)
	}
	must("--set ON_ERROR_STOP=1 --single-transaction --file examples/postgres/schema.sql --file examples/postgres/sample.sql " +
		"--file outbox/migrations/001_outbox.sql --file examples/postgres/events.sql")

	early := relay()
	refused("", "a relay of this outbox runs")
	early.stop(t)
	gone()
	taken("") // no event was ever written that it could have published
	change()
	refused("--set again=yes", "a relay has run on this outbox, and may have published of it")
	refused("--set nothing_published=yes", "a snapshot was taken already")
	taken("--set again=yes --set nothing_published=yes")
	change()
	late := relay()
	eventually(t, "the change to be published", 30*time.Second, func(context.Context) error {
		if n := len(waitingEvents(t, pg.URL())); n > 0 {
			return errors.New("it waits")
		}
		return nil
	})
	late.stop(t)
	gone()
	change()
	refused("--set again=yes --set nothing_published=yes", "a relay has published from this outbox")
}
