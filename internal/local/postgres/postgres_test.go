package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("POSTGRES_TEST_CHILD"); dir != "" {
		runChild(dir)
	}
	os.Exit(Main(m))
}

func TestCommittedRowsSurviveAnImmediateStop(t *testing.T) {
	ctx := deadline(t)
	s, err := Start(ctx, Options{})
	Check(t, err)
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
			t.Errorf("temporary folder %s is still there: %v", s.dir, err)
		}
	})
	url := s.URL()
	conn := dial(ctx, t, url)
	if _, err := conn.Exec(ctx, "CREATE TABLE kept AS SELECT 7 AS v"); err != nil {
		t.Fatal(err)
	}
	if err := s.StopImmediate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(ctx); err == nil {
		t.Error("the server still answers after an immediate stop")
	}
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if s.URL() != url {
		t.Errorf("after a restart at %s, before at %s", s.URL(), url)
	}
	var v int
	if err := dial(ctx, t, url).QueryRow(ctx, "SELECT v FROM kept").Scan(&v); err != nil || v != 7 {
		t.Errorf("read back %d, %v; want 7", v, err)
	}
}

func TestDatabasesAreFreshAndDropped(t *testing.T) {
	ctx := deadline(t)
	var first string
	t.Run("first", func(t *testing.T) {
		first = TestDatabase(t)
		if _, err := dial(ctx, t, first).Exec(ctx, "CREATE TABLE t (v int)"); err != nil {
			t.Fatal(err)
		}
		second := TestDatabase(t)
		var n int
		if err := dial(ctx, t, second).QueryRow(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&n); err != nil || n != 0 {
			t.Errorf("a fresh database has %d tables, %v; want none", n, err)
		}
	})
	if conn, err := pgx.Connect(ctx, first); err == nil {
		conn.Close(ctx)
		t.Error("the database is still there after its test")
	}
}

// TestNoServerOutlivesAKilledParent kills a process that runs a server, and then
// starts another server on the folder that it kept.
func TestNoServerOutlivesAKilledParent(t *testing.T) {
	ctx := deadline(t)
	_, err := Binaries()
	Check(t, err)
	// Not t.TempDir: the server's user has to be able to pass through it.
	parent, err := os.MkdirTemp("", "accountexport-pg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o711); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "data")

	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "POSTGRES_TEST_CHILD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatalf("the child says %q", line[:n])
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for running(pid) {
		select {
		case <-ctx.Done():
			t.Fatalf("server %d outlives its parent", pid)
		case <-tick.C:
		}
	}
	s, err := Start(ctx, Options{Dir: dir})
	if err != nil {
		t.Fatalf("start on the folder of a killed run: %v", err)
	}
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		t.Errorf("a given folder is kept: %v", err)
	}
}

// recorded is a testing.TB that records skips and failures.
type recorded struct {
	testing.TB
	result string
}

func (r *recorded) Helper()                        {}
func (r *recorded) Skipf(format string, a ...any)  { r.end("skipped: "+format, a...) }
func (r *recorded) Fatalf(format string, a ...any) { r.end("failed: "+format, a...) }
func (r *recorded) Fatal(a ...any)                 { r.end("failed: %s", fmt.Sprint(a...)) }

func (r *recorded) end(format string, a ...any) {
	r.result = fmt.Sprintf(format, a...)
	runtime.Goexit()
}

// TestAMissingPostgreSQLSkips: a test without PostgreSQL is skipped with the line
// that installs it, and fails where CI is set. For every other error it fails.
func TestAMissingPostgreSQLSkips(t *testing.T) {
	missing := fmt.Errorf("postgres: %w, and more", ErrMissing)
	for _, test := range []struct {
		ci   string
		err  error
		want string
	}{
		{"", missing, "skipped: this test needs PostgreSQL (" + missing.Error() + "); install it with: apt install postgresql"},
		{"1", missing, "failed: this test needs PostgreSQL (" + missing.Error() + "); install it with: apt install postgresql"},
		{"", errors.New("initdb: no space left"), "failed: initdb: no space left"},
		{"1", nil, ""},
	} {
		t.Setenv("CI", test.ci)
		r := &recorded{TB: t}
		var ended sync.WaitGroup
		ended.Go(func() { Check(r, test.err) })
		ended.Wait()
		if r.result != test.want {
			t.Errorf("CI=%s, %v: %q, want %q", test.ci, test.err, r.result, test.want)
		}
	}
}

// runChild runs a server and waits to be killed.
func runChild(dir string) {
	s, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(strconv.Itoa(s.proc.Pid) + "\n")
	select {}
}

// running reports whether the process runs; a zombie does not.
func running(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	return !strings.Contains(string(stat), ") Z ")
}

func dial(ctx context.Context, t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(ctx)) })
	return conn
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}
