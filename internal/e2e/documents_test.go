package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/documents"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
)

// TestDocumentsRun runs every block of shell commands in README.md, CONTRIBUTING.md and doc/*.md
// that names no other test, but for those of the runbook and of the incident, in the order of its document, on its own servers. Each block has to
// exit with 0. Before every document the blocks of the operating manual that start everything for
// the first time are run.
func TestDocumentsRun(t *testing.T) {
	t.Parallel()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	manual := slices.IndexFunc(all, func(d documents.Document) bool { return d.Path == "doc/operating.md" })
	if manual < 0 {
		t.Fatal("there is no doc/operating.md")
	}
	first := ownBlocks(all[manual])
	n := slices.IndexFunc(first, func(b documents.Block) bool { return b.KeepsRunning && b.Text == "api\n" }) + 1
	start, rest := first[:n], first[n:]
	if len(start) == 0 || len(rest) == 0 {
		t.Fatalf("doc/operating.md has %d blocks that start everything, and %d beyond", len(start), len(rest))
	}
	for _, d := range all {
		blocks := ownBlocks(d)
		if d.Path == all[manual].Path {
			blocks = rest
		}
		if len(blocks) == 0 {
			continue
		}
		t.Run(d.Path, func(t *testing.T) {
			t.Parallel()
			r := newDocumented(t)
			for _, b := range start {
				r.run(t, b)
			}
			r.populate(t)
			for _, b := range blocks {
				r.run(t, b)
			}
			r.metricsAreListed(t)
			if d.Path == all[manual].Path {
				r.checkErased(t, another)
				r.mustRun(t, 0, " 0 differ", "verify", "--all")
			}
		})
	}
}

// ownBlocks are the blocks of a document that are run here.
func ownBlocks(d documents.Document) (own []documents.Block) {
	if d.Path == documents.Runbook || d.Path == documents.Incident { // TestRunbook and TestIncident follow these
		return nil
	}
	for _, b := range d.Blocks() {
		if b.Lang == "sh" && len(b.RunBy) == 0 {
			own = append(own, b)
		}
	}
	return own
}

// documented follows a document in its own folder and with its own servers.
type documented struct {
	*system
	dir       string
	path      string
	addresses map[string]string // of what a document calls localhost:PORT
	position  uint64            // of a parked message
	running   []*process
}

func newDocumented(t *testing.T) *documented {
	t.Helper()
	testrun.Tool(t, "curl", "apt-get install curl")
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	pg, err := postgres.Start(t.Context(), postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = pg.Stop(context.Background()) })
	s := &system{pg: pg, database: pg.URL(), nats: natsserver.ProcessForTest(t, binary(t, "natsd"))}
	s.connect(t, stream.Config{URL: s.nats.URL()})
	binary(t, "projector")
	return &documented{system: s, dir: t.TempDir(), path: programs.dir + ":" + binaries + ":" + os.Getenv("PATH"),
		addresses: map[string]string{"8080": freeAddr(t), "9091": freeAddr(t), "9092": freeAddr(t)}}
}

// environ are the variables that a document assumes: the settings, with the login of the program that
// the block runs, the administrator's connection, the account, a token and an address.
func (r *documented) environ(t *testing.T, b documents.Block) map[string]string {
	t.Helper()
	u, err := url.Parse(r.database)
	if err != nil {
		t.Fatal(err)
	}
	login, admin := "projector", "9091"
	if strings.HasPrefix(b.Text, "api") {
		login, admin = "api", "9092"
	}
	u.User = url.User(login)
	return map[string]string{
		"PATH": r.path, "HOME": r.dir,
		"DATABASE_URL": u.String(), "ADMIN_DATABASE_URL": r.database, "NATS_URL": r.settings["NATS_URL"],
		"HTTP_ADDR": r.addresses["8080"], "ADMIN_ADDR": r.addresses[admin],
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret,
		"ACCOUNT": someone, "TOKEN": mintToken(t, uuid(t, someone)), "POSITION": strconv.FormatUint(r.position, 10),
		"URL": "http://" + r.addresses["8080"] + "/v1/account/export",
	}
}

// run runs a block to its end. A block that keeps running is started, and run waits until it is
// ready.
func (r *documented) run(t *testing.T, b documents.Block) {
	t.Helper()
	if b.NothingRuns {
		r.losesTheDatabase(t)
	}
	env := r.environ(t, b)
	if b.KeepsRunning {
		words := strings.Fields(b.Text)
		r.running = append(r.running, launch(t, words[0], env, words[1:]...))
		eventually(t, b.At()+" to be ready", 30*time.Second, func(ctx context.Context) error {
			status, _, body, err := get(ctx, "http://"+env["ADMIN_ADDR"]+"/readyz", "")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%d: %s", status, body)
			}
			return err
		})
		return
	}
	if len(r.running) > 0 {
		r.waitProjected(t)
	}
	text := b.Text
	for port, address := range r.addresses {
		text = strings.ReplaceAll(text, "localhost:"+port, address)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", text)
	cmd.Dir = r.dir
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if t.Logf("%s\n%s%s", b.At(), b.Text, out); err != nil {
		t.Fatalf("%s: %v", b.At(), err)
	}
}

// populate publishes an account that has a document, and three messages of another
// one that are parked: two by a producer's mistake, one since its text is too long.
func (r *documented) populate(t *testing.T) {
	t.Helper()
	r.publishComplete(t, uuid(t, someone))
	m, err := events.NewUserEmailChanged(newMeta("parked"), uuid(t, another),
		events.UserEmailChanged{Email: "WRONG"})
	if err != nil {
		t.Fatal(err)
	}
	sound := string(m.Data)
	for _, wrong := range []string{`{"address":"a@example.org"}`, `{"address":"b@example.org"}`, `"` + strings.Repeat("x", 2000) + `"`} {
		m.Data = []byte(strings.Replace(sound, `"WRONG"`, wrong, 1))
		if r.position, err = r.client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// losesTheDatabase erases an account after the dump was taken, exports the ledger, ends the
// programs, and replaces the database by an empty one.
func (r *documented) losesTheDatabase(t *testing.T) {
	t.Helper()
	r.erase(t, another, 0, nothingLeft)
	ledger, err := os.ReadFile(r.ledgerExport(t, another))
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, "erasures.jsonl"), ledger, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.running {
		p.signal(syscall.SIGTERM)
		p.wait()
	}
	r.running = nil
	if _, err := r.pool.Exec(t.Context(), `CREATE DATABASE restored TEMPLATE template0 ENCODING 'UTF8'`); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(r.database)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/restored"
	r.database = u.String()
	r.settings["DATABASE_URL"] = r.database
	r.openPool(t)
}

// metricsAreListed requires that doc/reference.md lists every metric that the programs serve.
func (r *documented) metricsAreListed(t *testing.T) {
	t.Helper()
	reference, err := os.ReadFile("../../doc/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	family := regexp.MustCompile(`(?m)^# TYPE ((?:projector|export|accountexport)_\w+) `)
	for _, port := range []string{"9091", "9092"} {
		_, _, body, err := get(t.Context(), "http://"+r.addresses[port]+"/metrics", "")
		found := family.FindAllSubmatch(body, -1)
		if err != nil || len(found) < 10 {
			t.Errorf("%d metrics at localhost:%s, %v", len(found), port, err)
		}
		for _, m := range found {
			if !bytes.Contains(reference, slices.Concat([]byte("\n| `"), m[1], []byte("`"))) && !bytes.Contains(reference, slices.Concat([]byte("\n| `"), m[1], []byte("{"))) {
				t.Errorf("doc/reference.md does not list %s", m[1])
			}
		}
	}
}
