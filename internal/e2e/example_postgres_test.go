package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/documents"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
)

const exampleReadme = "examples/postgres/README.md"

// TestExamplePostgres follows examples/postgres/README.md block by block, while the toy
// control plane works on: from before it has an outbox to the end, somebody counts usage.
// Then each account's export is what the control plane's tables hold.
func TestExamplePostgres(t *testing.T) {
	t.Parallel()
	testrun.Tool(t, "curl", "apt-get install curl")
	testrun.Tool(t, "openssl", "apt-get install openssl")
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	pg, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	controlPlane, err := url.Parse(pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	controlPlane.Path = "/control_plane"
	nats := natsserver.ProcessForTest(t, binary(t, "natsd"))
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // the repository, and what the commands write
	for _, name := range []string{"examples", "outbox"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	binary(t, "projector")
	env := map[string]string{"PATH": programs.dir + ":" + binaries + ":" + os.Getenv("PATH"), "HOME": dir,
		"DATABASE_URL": pg.URL(), "OUTBOX_DATABASE_URL": controlPlane.String(), "NATS_URL": nats.URL(),
		"JWT_ISSUER": "https://toy.example.com/auth/v1", "JWT_SECRET": jwtSecret, "HTTP_ADDR": freeAddr(t)}
	all, err := documents.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(d documents.Document) bool { return d.Path == exampleReadme })
	exported := regexp.MustCompile(`(?m)^export (\w+)=`)

	var usage *usageWriter
	var export []byte
	for _, b := range all[at].Blocks() {
		switch {
		case !slices.Contains(b.RunBy, "TestExamplePostgres"):
			continue
		case b.Lang != "sh" || strings.HasPrefix(b.Text, "go build "): // which is done
			continue
		case strings.HasPrefix(b.Text, "export "):
			for _, m := range exported.FindAllStringSubmatch(b.Text, -1) {
				if env[m[1]] == "" {
					t.Errorf("%s exports %s, and this test does not", b.At(), m[1])
				}
			}
			continue
		case b.KeepsRunning:
			launchBlock(t, env, b)
			continue
		}
		if usage != nil { // between any two blocks
			usage.goOn(t)
		}
		if strings.Contains(b.Text, "curl ") {
			usage.end(t)
			waitExported(t, env)
		}
		if strings.Contains(b.Text, "projector status") {
			waitStarted(t, env)
		}
		export = runBlock(t, dir, env, b)
		if strings.HasPrefix(b.Text, "projector import ") {
			snapshotOnce(t, dir, env, all[at].Blocks())
		}
		if strings.Contains(b.Text, "sample.sql") {
			usage = countUsage(t, controlPlane.String())
		}
	}
	manualOutbox(t, pg, dir, env, all)
	got := map[string]string{someone: string(export)}
	client, err := stream.Connect(t.Context(), stream.Config{URL: nats.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const other = "4d90c3cc-0d44-4b50-8888-8dd25736052a"
	out, status := command(t, "projector", env, "export", "--account", other)
	if status != 0 {
		t.Errorf("export of %s: %d, %s", other, status, out)
	}
	got[other] = out
	pool, err := pgxpool.New(t.Context(), controlPlane.String())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for account, export := range got {
		var want string
		if err := pool.QueryRow(t.Context(), controlPlaneDocument, account).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(comparable(t, want), comparable(t, export)); diff != "" {
			t.Errorf("%s: -tables +export:\n%s", account, diff)
		}
	}
}

// runBlock runs a block to its end, and gives what it prints.
func runBlock(t *testing.T, dir string, env map[string]string, b documents.Block) []byte {
	t.Helper()
	return runBlockAs(t, nil, dir, env, b)
}

// runBlockAs does so as another user; nil stands for this process's own.
func runBlockAs(t *testing.T, user *syscall.Credential, dir string, env map[string]string, b documents.Block) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", b.Text)
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: user}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if t.Logf("%s\n%s%s", b.At(), b.Text, out); err != nil {
		t.Fatalf("%s: %v", b.At(), err)
	}
	return out
}

// launchBlock starts what a block has keep running, and waits until it is ready.
func launchBlock(t *testing.T, env map[string]string, b documents.Block) {
	t.Helper()
	env = maps.Clone(env)
	env["ADMIN_ADDR"] = freeAddr(t)
	words := strings.Fields(strings.TrimPrefix(b.Text, "ADMIN_ADDR=127.0.0.1:9094 "))
	launch(t, words[0], env, words[1:]...)
	eventually(t, b.At()+" to be ready", 30*time.Second, func(ctx context.Context) error {
		status, _, body, err := get(ctx, "http://"+env["ADMIN_ADDR"]+"/readyz", "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d: %s", status, body)
		}
		return err
	})
}

// manualOutbox does what doc/operating.md says of an outbox, on an empty database.
func manualOutbox(t *testing.T, pg *postgres.Server, dir string, env map[string]string, all []documents.Document) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `CREATE DATABASE by_the_manual`); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/by_the_manual"
	env = maps.Clone(env)
	env["OUTBOX_DATABASE_URL"] = u.String()
	manual, blocks := slices.IndexFunc(all, func(d documents.Document) bool { return d.Path == "doc/operating.md" }), 0
	for _, b := range all[manual].Blocks() {
		if !slices.Contains(b.RunBy, "TestExamplePostgres") {
			continue
		}
		if blocks++; b.KeepsRunning {
			launchBlock(t, env, b)
		} else {
			runBlock(t, dir, env, b)
		}
	}
	if blocks != 2 {
		t.Errorf("doc/operating.md has %d blocks for this test, want 2", blocks)
	}
}

// waitStarted waits until the projector has a generation, so that `status` has one to show.
func waitStarted(t *testing.T, env map[string]string) {
	t.Helper()
	eventually(t, "projecting", time.Minute, func(context.Context) error {
		if out, status := command(t, "projector", env, "status"); status != 0 {
			return errors.New(out)
		}
		return nil
	})
}

// waitExported waits until nothing waits in the outbox, and nothing is behind.
func waitExported(t *testing.T, env map[string]string) {
	t.Helper()
	eventually(t, "everything exported", time.Minute, func(context.Context) error {
		out, status := command(t, "projector", env, "status")
		if status != 0 || !strings.Contains(out, "outbox: 0 pending") || !strings.Contains(out, ", 0 behind; 0 parked") {
			return errors.New(out)
		}
		return nil
	})
}

// usageWriter counts usage, each time in a transaction of its own.
type usageWriter struct {
	stop    context.CancelFunc
	ended   chan struct{}
	counted atomic.Int64
}

func countUsage(t *testing.T, database string) *usageWriter {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	w := &usageWriter{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		defer pool.Close()
		for ctx.Err() == nil {
			err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `UPDATE quota_usage SET sandbox_creates = sandbox_creates + 1 WHERE usage_date = '2024-03-01'`); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), `UPDATE sandboxes SET metadata = metadata || jsonb_build_object('n', $1::int) WHERE id = 'sb-3'`, w.counted.Load())
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
			w.counted.Add(1)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return w
}

// goOn waits until usage was counted some times more.
func (w *usageWriter) goOn(t *testing.T) {
	t.Helper()
	before := w.counted.Load()
	eventually(t, "usage being counted", 30*time.Second, func(context.Context) error {
		if n := w.counted.Load() - before; n < 10 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
}

func (w *usageWriter) end(t *testing.T) {
	t.Helper()
	w.stop()
	<-w.ended
	t.Logf("usage was counted %d times", w.counted.Load())
}

// comparable is a document whose times and numbers are as any other's.
func comparable(t *testing.T, document string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(document), &v); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case string:
			if at, err := time.Parse(time.RFC3339, v); err == nil {
				return events.TimeOf(at).String()
			}
		}
		return v
	}
	return walk(v)
}

// controlPlaneDocument is the export as the control plane's tables would have it.
const controlPlaneDocument = `
SELECT jsonb_build_object(
    'user', (SELECT to_jsonb(u) FROM users u WHERE id = a.id),
    'team', (SELECT to_jsonb(t) - 'account_id' FROM teams t WHERE account_id = a.id),
    'quota_tier', (SELECT to_jsonb(q) FROM quota_tiers q JOIN teams t ON t.quota_tier_id = q.id WHERE t.account_id = a.id),
    'quota_usage', coalesce((SELECT jsonb_agg(to_jsonb(q) ORDER BY usage_date) FROM quota_usage q JOIN teams t ON t.id = q.team_id WHERE t.account_id = a.id), '[]'),
    'api_keys', coalesce((SELECT jsonb_agg(to_jsonb(k) ORDER BY created_at) FROM api_keys k WHERE user_id = a.id), '[]'),
    'sandboxes', coalesce((SELECT jsonb_agg(to_jsonb(s) - 'user_id' ORDER BY created_at) FROM sandboxes s WHERE user_id = a.id), '[]')
)::text FROM (SELECT $1::uuid AS id) a`
