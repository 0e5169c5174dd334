package devstack_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
)

// built is the folder with the programs, built on first use.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := postgres.Main(m)
	_ = os.RemoveAll(built.dir)
	os.Exit(code)
}

// build builds the three programs into one folder, as make does, once. The test is
// skipped without PostgreSQL, which they need.
func build(t *testing.T) string {
	t.Helper()
	if os.Getenv("DATABASE_URL") == "" {
		_, err := postgres.Binaries()
		postgres.Check(t, err)
	}
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "accountexport-devstack-test-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", built.dir+"/", "accountexport/cmd/...").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// running is a running devstack, as its user sees it.
type running struct {
	cmd      *exec.Cmd
	url      string
	console  string
	token    string
	byHand   string
	nats     string // URLs
	database string
	outbox   string
	dir      string // its folder
	children []int
	stderr   *bytes.Buffer // complete once the command has been waited for
}

var curl = regexp.MustCompile(`^curl -s -H 'Authorization: Bearer ([^']+)' (\S+)$`)

var consoleLine = regexp.MustCompile(`^console  (http://127\.0\.0\.1:[0-9]+/)$`)

// run starts devstack and reads its output until it has printed how to try it. Its
// temporary folders are created in tmp, or in the test's if that is empty. Only one
// starts at a time: between looking for free ports and listening on them, another
// would find the same ones.
func run(t *testing.T, dir, tmp string, args ...string) *running {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "devstack"), args...)
	if tmp != "" {
		cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	}
	return start(t, cmd)
}

func start(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{cmd: cmd, stderr: &bytes.Buffer{}}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if m := curl.FindStringSubmatch(line); m != nil {
			r.token, r.url = m[1], m[2]
		}
		if strings.HasPrefix(line, "echo ") {
			r.byHand = line
		}
		if m := consoleLine.FindStringSubmatch(line); m != nil {
			r.console = m[1]
		}
		name, value, _ := strings.Cut(line, " ")
		switch value = strings.TrimSpace(value); name {
		case "NATS":
			r.nats = value
		case "PostgreSQL":
			r.database = databaseURL(t, cmd, value)
		case "outbox":
			r.outbox = databaseURL(t, cmd, value)
		case "logs":
			r.dir = value
		}
		if strings.HasPrefix(line, "Ctrl-C") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			r.children = descendants(r.cmd.Process.Pid)
			return r
		}
	}
	_ = r.cmd.Wait()
	t.Fatalf("devstack ended before it was ready: %s", r.stderr)
	return nil
}

// descendants lists the child processes of a process, and theirs.
func descendants(pid int) []int {
	var out []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (name) state ppid …
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			out = append(append(out, child), descendants(child)...)
		}
	}
	return out
}

// waitUntilEnded waits until all the processes have ended.
func waitUntilEnded(t *testing.T, pids []int) {
	t.Helper()
	eventually(t, "every process to end", func() error {
		for _, pid := range pids {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err == nil && !bytes.Contains(b, []byte(") Z ")) {
				return fmt.Errorf("process %d is left: %.60s", pid, b)
			}
		}
		return nil
	})
}

func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("waiting for %s: %v", what, err)
		case <-ticker.C:
		}
	}
}

type document struct {
	User *struct {
		Name  string
		Email string
	}
	Team       map[string]any
	QuotaTier  map[string]any   `json:"quota_tier"`
	QuotaUsage []map[string]any `json:"quota_usage"`
	APIKeys    []map[string]any `json:"api_keys"`
	Sandboxes  []map[string]any
}

func (r *running) get(t *testing.T) document {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var d document
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil || resp.StatusCode != http.StatusOK || d.User == nil ||
		len(d.Team) != 8 || len(d.QuotaTier) != 5 || len(d.APIKeys) == 0 || len(d.Sandboxes) == 0 {
		t.Fatalf("status %d, %v: %+v", resp.StatusCode, err, d)
	}
	return d
}

// TestNewcomer does what the README says: the printed curl command returns a
// document, the printed publish command changes it, and Ctrl-C ends every process. The
// history is in the stream, and what came after it through the outbox. The console is where
// the line says, and may act.
func TestNewcomer(t *testing.T) {
	bin := build(t)
	r := run(t, bin, "", "--accounts", "5", "--rate", "20")
	if d := r.get(t); d.User.Email != "user0@example.org" {
		t.Errorf("document of %s", d.User.Email)
	}
	if out, err := exec.Command("sh", "-c", r.byHand).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "position ") {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the change by hand", func() error {
		if d := r.get(t); d.User.Name != "Changed by hand" {
			return fmt.Errorf("the name is %q", d.User.Name)
		}
		return nil
	})
	noteWritten(t, r)
	checkHistory(t, r)
	checkOutbox(t, r)
	checkConsole(t, r)
	status := r.status(t)
	if !strings.Contains(status, "outbox: ") || !strings.Contains(status, "last published at position") || strings.Contains(status, "nobody relays it") {
		t.Errorf("projector status says of the outbox: %s", status)
	}
	want := 5 // projector, console, relay, API and PostgreSQL, besides PostgreSQL's own children
	if os.Getenv("DATABASE_URL") != "" {
		want = 4
	}
	if len(r.children) < want {
		t.Errorf("found %d child processes; the test looks for the wrong ones", len(r.children))
	}
	_ = r.cmd.Process.Signal(os.Interrupt)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	waitUntilEnded(t, r.children)
}

// TestKilledHardAndRunAgain: when devstack is killed with SIGKILL, everything that it
// started ends too, and the next run goes on with the data that was kept: the history is
// not published again, and what was in the outbox is published once.
func TestKilledHardAndRunAgain(t *testing.T) {
	bin := build(t)
	dir := openFolder(t)
	r := run(t, bin, "", "--accounts", "3", "--rate", "200", "--keep", "--dir", dir)
	noteWritten(t, r)
	checkOutbox(t, r) // so it is killed in the middle of it
	before := len(r.get(t).Sandboxes)

	// Meanwhile the folder is locked: a second devstack is refused, and the first does
	// not notice.
	out, err := exec.Command(filepath.Join(bin, "devstack"), "--dir", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another devstack runs on "+dir) {
		t.Errorf("a second one on the folder: %v: %s", err, out)
	}
	r.get(t)

	_ = r.cmd.Process.Signal(syscall.SIGKILL)
	_ = r.cmd.Wait()
	waitUntilEnded(t, r.children)

	r = run(t, bin, "", "--accounts", "3", "--keep", "--dir", dir)
	if after := len(r.get(t).Sandboxes); after < before {
		t.Errorf("%d sandboxes after the second start, %d before", after, before)
	}
	checkHistory(t, r)
	checkOutbox(t, r)
	_ = r.cmd.Process.Signal(os.Interrupt)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	waitUntilEnded(t, r.children)
}
