package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"accountexport/internal/local/child"
)

// apiProcess is a running cmd/api.
type apiProcess struct {
	HTTP, Admin string // addresses
	*child.Process
}

// startAPI starts cmd/api on a stack's database, with a pool of this many connections.
func startAPI(b *testing.B, s *stack, pool int) *apiProcess {
	b.Helper()
	return startAPIAt(b, s.pg.URL()+"&pool_max_conns="+strconv.Itoa(pool))
}

// startAPIAt starts cmd/api on a database.
func startAPIAt(b *testing.B, url string) *apiProcess {
	b.Helper()
	path := filepath.Join(b.TempDir(), "api")
	if out, err := exec.Command("go", "build", "-o", path, "accountexport/cmd/api").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return startServer(b, exec.Command(path), url)
}

// startServer starts a program that serves exports from a database, and first prints the
// address as JSON. It is killed when the benchmark ends.
func startServer(b testing.TB, cmd *exec.Cmd, url string) *apiProcess {
	b.Helper()
	p := &apiProcess{}
	cmd.Env = append(cmd.Environ(), "DATABASE_URL="+url, "HTTP_ADDR=127.0.0.1:0",
		"ADMIN_ADDR=127.0.0.1:0", "JWT_ISSUER="+issuer, "JWT_SECRET="+secret, "DRAIN_DELAY=1ms")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if p.Process, err = child.Start(cmd, syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Kill(); <-p.Ended() })
	log := bufio.NewReader(out)
	first, err := log.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(first, p)
	}
	if err != nil {
		b.Fatalf("%s: %v", first, err)
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
	return p
}

func (p *apiProcess) stop(b testing.TB) {
	b.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		b.Error(err)
	}
	if err := p.Err(); err != nil {
		b.Error(err)
	}
}

// memory is what a process uses now and what it has used at most, in bytes of RAM.
type memory struct{ now, peak int64 }

func (p *apiProcess) memory(b *testing.B) memory {
	b.Helper()
	m, err := memoryOf(p.Pid)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// memoryOf is what the operating system reports of a running process.
func memoryOf(pid int) (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			m.peak = kib << 10
		}
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			m.now = kib << 10
		}
	}
	return m, err
}

// resetPeak makes the peak begin at what is used now.
func (p *apiProcess) resetPeak(b *testing.B) {
	b.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid), []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

// connections are the database connections that the program uses.
func (p *apiProcess) connections(b *testing.B) int {
	b.Helper()
	n, ok := metricOf(b, p.Admin, "pgxpool_acquired_connections")
	if !ok {
		b.Fatal("the API does not say how many connections it uses")
	}
	return int(n)
}
