package devstack_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/postgres"
)

// TestGivenPostgreSQL: on a PostgreSQL named by DATABASE_URL, or by --database-url
// whatever the variable says, repeated runs work, touch nothing in the named database
// and leave nothing behind. The user's settings for other servers have no effect.
func TestGivenPostgreSQL(t *testing.T) {
	bin, given := build(t), postgres.TestDatabase(t)
	conn, err := pgx.Connect(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	count := func(sql string) (n int) {
		if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const databases = `SELECT count(*) FROM pg_database WHERE datname LIKE 'devstack\_%'`
	before := count(databases)
	for _, by := range []struct{ variable, flag string }{{given, ""}, {"postgres://127.0.0.1:1/another", "--database-url=" + given}} {
		cmd := exec.Command(filepath.Join(bin, "devstack"), append(strings.Fields(by.flag), "--accounts", "3")...)
		cmd.Env = append(os.Environ(), "DATABASE_URL="+by.variable, "NATS_CREDS=/of/another/server", "JWT_AUDIENCE=another")
		r := start(t, cmd)
		r.get(t)
		for _, pid := range r.children {
			if name := command(pid); name == "postgres" {
				t.Errorf("process %d is a PostgreSQL, started beside the given one", pid)
			}
		}
		if n := count(databases); n != before+2 {
			t.Errorf("%d databases of devstack while it runs, %d before", n, before)
		}
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		if err := r.cmd.Wait(); err != nil {
			t.Fatalf("after SIGTERM: %v: %s", err, r.stderr)
		}
		waitUntilEnded(t, r.children)
	}
	if n := count(databases); n != before {
		t.Errorf("%d databases of devstack are left, %d before", n, before)
	}
	if n := count(`SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'export%'`); n != 0 {
		t.Errorf("%d schemas were made in the given database", n)
	}
}

// TestAPartThatEndsIsNamed: when one of its parts ends, devstack ends too. It names
// the part and its log, and stops the others.
func TestAPartThatEndsIsNamed(t *testing.T) {
	bin := build(t)
	parts := map[string]string{"projector run": "projector ended", "projector relay": "relay ended", "projector console": "console ended", "api": "api ended"}
	if os.Getenv("DATABASE_URL") == "" {
		parts["postgres"] = "PostgreSQL ended"
	}
	for part, want := range parts {
		t.Run(part, func(t *testing.T) {
			tmp, kept := openFolder(t), openFolder(t)
			args := []string{"--accounts", "3"}
			if part == "api" {
				args = append(args, "--dir", kept)
			}
			r := run(t, bin, tmp, args...)
			var killed int
			for _, pid := range r.children {
				if is(pid, part) {
					killed = pid
					break // the first is PostgreSQL's postmaster, before its own children
				}
			}
			if killed == 0 {
				t.Fatalf("no process %s among %v", part, r.children)
			}
			_ = syscall.Kill(killed, syscall.SIGKILL)
			err := r.cmd.Wait()
			if err == nil || !strings.Contains(r.stderr.String(), want) {
				t.Errorf("devstack ended with %v: %s", err, r.stderr)
			}
			switch part {
			case "projector run", "projector relay", "projector console":
				if !strings.Contains(r.stderr.String(), "\ntime=") {
					t.Errorf("its log is not shown: %s", r.stderr)
				}
			case "api":
				log := filepath.Join(kept, "api.log")
				if _, err := os.Stat(log); err != nil || !strings.Contains(r.stderr.String(), log+", ends with:\ntime=") {
					t.Errorf("its log, %v, is not named: %s", err, r.stderr)
				}
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left of a run that keeps nothing: %v, %v", left, err)
			}
			waitUntilEnded(t, r.children)
		})
	}
}

// TestAKilledRunsFolderIsSwept: the temporary folder of a killed run is removed by
// the next run, and that of a run in progress is not.
func TestAKilledRunsFolderIsSwept(t *testing.T) {
	bin, tmp := build(t), openFolder(t)
	folders := func() string {
		found, err := filepath.Glob(filepath.Join(tmp, "accountexport-devstack-*"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(found, " ")
	}
	killed := run(t, bin, tmp, "--accounts", "1")
	first := folders()
	_ = killed.cmd.Process.Kill()
	_ = killed.cmd.Wait()
	waitUntilEnded(t, killed.children)

	one := run(t, bin, tmp, "--accounts", "1")
	second := folders()
	if first == "" || second == "" || strings.Contains(second, first) {
		t.Errorf("folders of the killed run %q, beside the next run %q", first, second)
	}
	two := run(t, bin, tmp, "--accounts", "1")
	if both := folders(); !strings.Contains(both, second) {
		t.Errorf("a living run's folder %q was swept; left are %q", second, both)
	}
	if one.console == "" || two.console == "" || one.console == two.console {
		t.Errorf("the consoles of both are at %q and %q", one.console, two.console)
	}
	one.get(t)
	for _, r := range []*running{one, two} {
		_ = r.cmd.Process.Signal(os.Interrupt)
		if err := r.cmd.Wait(); err != nil {
			t.Errorf("after Ctrl-C: %v: %s", err, r.stderr)
		}
		waitUntilEnded(t, r.children)
	}
	if left := folders(); left != "" {
		t.Errorf("left at the end: %s", left)
	}
}

// TestKilledWhileItImports: wherever a first start was killed, the next one brings the
// history into the stream once.
func TestKilledWhileItImports(t *testing.T) {
	bin, dir := build(t), openFolder(t)
	cmd := exec.Command(filepath.Join(bin, "devstack"), "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, "the import to begin", func() error {
		_, err := os.Stat(filepath.Join(dir, "history.ndjson.progress"))
		return err
	})
	children := descendants(cmd.Process.Pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	waitUntilEnded(t, children)

	r := run(t, bin, "", "--dir", dir)
	checkHistory(t, r)
	_ = r.cmd.Process.Signal(os.Interrupt)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v: %s", err, r.stderr)
	}
	waitUntilEnded(t, r.children)
}

// openFolder is a temporary folder that PostgreSQL's own user can reach, unlike
// t.TempDir.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "accountexport-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// is reports whether a process is one of a command, as "projector run".
func is(pid int, part string) bool {
	name, argument, _ := strings.Cut(part, " ")
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return command(pid) == name && (argument == "" || bytes.Contains(b, []byte("\x00"+argument+"\x00")))
}

// command returns the name of a process.
func command(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(bytes.TrimSpace(b))
}
