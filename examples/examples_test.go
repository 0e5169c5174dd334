// Package examples_test runs the examples of producers on a real NATS server, beside the
// projector and the API: what they publish has to turn up in the account's export.
package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/exporttest"
	"accountexport/internal/local/testrun"
)

func TestMain(m *testing.M) { os.Exit(exporttest.Main(m)) }

const email = "ada@example.org"

// command is a program to be run in a folder, with these variables added to the
// environment.
func command(t *testing.T, dir string, environ []string, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{"NO_COLOR=1", "GOWORK=off"}, environ...)...)
	return cmd
}

// mustRun runs a program that has to succeed, and returns what it prints.
func mustRun(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// offline reports whether a program failed since it could not fetch what it needs.
func offline(out string) bool {
	return strings.Contains(out, "dial tcp") || strings.Contains(out, "EAI_AGAIN") || strings.Contains(out, "ENOTFOUND")
}

// isExported: the account has the export that each example leads to, and nothing that
// was published is parked.
func isExported(t *testing.T, x *exporttest.System, account events.UUID, opts ...exporttest.Option) {
	t.Helper()
	doc := x.Export(t, account, opts...)
	var d struct {
		User      struct{ ID, Email, Tier string }
		Team      map[string]any
		QuotaTier struct {
			ID    string
			Hours float64 `json:"daily_gb_hours"`
		} `json:"quota_tier"`
	}
	doc.Decode(t, &d)
	if d.User.ID != account.String() || d.User.Email != email || d.User.Tier != "free" || d.Team == nil || d.QuotaTier.ID != "free" ||
		d.QuotaTier.Hours != 1.5 || doc.Parked != 0 {
		t.Errorf("the export, with %d parked, is %s", doc.Parked, doc.JSON)
	}
}

// deduplicated: each message in the stream carries its event's id as Nats-Msg-Id.
func deduplicated(t *testing.T, x *exporttest.System, want int) {
	t.Helper()
	s, err := x.JetStream.Stream(t.Context(), exporttest.Stream)
	if err != nil {
		t.Fatal(err)
	}
	last := s.CachedInfo().State.LastSeq
	if last != uint64(want) {
		t.Errorf("the stream has %d messages, want %d", last, want)
	}
	for position := range last {
		m, err := s.GetMsg(t.Context(), position+1)
		if err != nil {
			t.Fatal(err)
		}
		id := events.Message{Header: m.Header, Data: m.Data}.EventID()
		if got := m.Header.Get(events.MsgIDHeader); id == "" || got != id {
			t.Errorf("message %d, of event %q, has %s %q", position+1, id, events.MsgIDHeader, got)
		}
	}
}

// position is what an example prints of its last event.
func position(t *testing.T, out string) uint64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^position (\d+)$`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no position is printed:\n%s", out)
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestGo: the producer in Go passes vet and its own tests, which use exporttest from
// another module, and what the program publishes is exported. Its go.mod is in step with
// the project's: where it is not, the go command says to run `go mod tidy` there.
func TestGo(t *testing.T) {
	t.Parallel()
	x := exporttest.Start(t)
	if out, err := command(t, "go", nil, "go", "vet", "-mod=readonly", "./...").CombinedOutput(); err != nil {
		if offline(string(out)) {
			t.Log(string(out))
			testrun.Missing(t, "the modules of examples/go", "go mod download, in examples/go, with a network")
		}
		t.Fatalf("go vet: %v\n%s", err, out)
	}
	mustRun(t, command(t, "go", []string{"DATABASE_URL=" + x.DatabaseURL}, "go", "test", "-mod=readonly", "-count=1", "./..."))
	account := events.NewUUID()
	out := mustRun(t, command(t, "go", []string{"NATS_URL=" + x.NATSURL}, "go", "run", "-mod=readonly", ".", account.String(), email))
	isExported(t, x, account, exporttest.After(position(t, out)))
	deduplicated(t, x, 3)
}

// TestTypeScript: the producer in TypeScript compiles in strict mode with the types that
// the API serves, what it publishes is exported, and it reads the export itself.
func TestTypeScript(t *testing.T) {
	t.Parallel()
	npm := testrun.Tool(t, "npm", "apt-get install npm")
	node := testrun.Tool(t, "node", "apt-get install nodejs")
	x := exporttest.Start(t)
	dir := filepath.Join(t.TempDir(), "examples", "typescript")
	sources := []string{"package.json", "package-lock.json", "tsconfig.json", "publisher.ts", "signup.ts"}
	if err := os.CopyFS(dir, only{os.DirFS("typescript"), sources}); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "..", "..", "schemas"), only{os.DirFS("../schemas"), []string{"accountexport.d.ts"}}); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, dir, nil, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
		t.Logf("npm ci: %v\n%s", err, out)
		testrun.Missing(t, "npm's registry", "npm ci, in examples/typescript, with a network")
	}
	mustRun(t, command(t, dir, nil, filepath.Join(dir, "node_modules", ".bin", "tsc")))
	account := events.NewUUID()
	out := mustRun(t, command(t, dir, []string{"NATS_URL=" + x.NATSURL, "EXPORT_URL=" + x.URL, "TOKEN=" + x.Token(account)},
		node, filepath.Join("dist", "signup.js"), account.String(), email))
	isExported(t, x, account, exporttest.After(position(t, out)))
	if want := email + " of team team-" + account.String()[:8] + " is on tier Free\n"; !strings.HasSuffix(out, want) {
		t.Errorf("the example read of the export\n%s\nwant\n%s", out, want)
	}
	deduplicated(t, x, 4)
}

// TestNATSCLI: what the `nats` command publishes is exported. The command is built from a
// module of its own.
func TestNATSCLI(t *testing.T) {
	t.Parallel()
	x := exporttest.Start(t)
	bin := t.TempDir()
	out, err := command(t, "nats-cli", []string{"GOFLAGS=-mod=readonly"}, "go", "tool", "-n", "nats").CombinedOutput() // builds it, and prints where it is
	if err != nil {
		if offline(string(out)) {
			t.Log(string(out))
			testrun.Missing(t, "the modules of examples/nats-cli", "go mod download, in examples/nats-cli, with a network")
		}
		t.Fatalf("build nats: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n") // downloads are told above it
	if err := os.Symlink(lines[len(lines)-1], filepath.Join(bin, "nats")); err != nil {
		t.Fatal(err)
	}
	account := events.NewUUID()
	// The command's contexts, and so another server, are looked for in the home folder.
	environ := []string{"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "NATS_URL=" + x.NATSURL, "HOME=" + bin, "XDG_CONFIG_HOME=" + bin}
	mustRun(t, command(t, "nats-cli", environ, "sh", "signup.sh", account.String(), email))
	isExported(t, x, account)
	deduplicated(t, x, 3)
}
