package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel/export"
)

var codings = []string{"identity", "gzip", "zstd"}

// newLargeStack has 200 usual accounts and one of 100,000 sandboxes with
// metadata, projected.
func newLargeStack(b *testing.B) (s *stack, usual []events.UUID, large events.UUID) {
	b.Helper()
	s = newStack(b)
	usual = publishAccounts(b, s, 200)
	large, _ = events.ParseUUID("3c90c3cc-0d44-4b50-9999-000000000000")
	publishLarge(b, s, large, 100_000)
	stop := s.run(b, engine.Options{})
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.reached(b, info.Last)
	stop()
	if _, err := s.pool.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
		b.Fatal(err)
	}
	return s, usual, large
}

func publishLarge(b *testing.B, s *stack, account events.UUID, sandboxes int) {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	team, _ := events.ParseUUID("7a90c3cc-0d44-4b50-9999-000000000000")
	at, _ := events.ParseTime("2026-03-25T07:10:47.777Z")
	n := 0
	_, err := s.client.PublishAll(b.Context(), func() (events.Message, bool) {
		n++
		meta := events.Meta{ID: fmt.Sprintf("large-%d", n), Source: "/bench", Time: at + events.Time(n)*1000}
		var m events.Message
		var err error
		switch n {
		case 1:
			m, err = events.NewUserRegistered(meta, account, events.UserRegistered{Email: "large@example.org", Tier: "free", QuotaTierID: "free"})
		case 2:
			m, err = events.NewTeamCreated(meta, account, events.TeamCreated{ID: team, Name: "Large", Slug: "large", QuotaTierID: "free"})
		default:
			metadata := fmt.Sprintf(`{"env":"production","region":"eu-central-1","run":"%016x%016x","commit":"%016x","owner":"user-%d@example.org","branch":"feature/%d"}`,
				random.Uint64(), random.Uint64(), random.Uint64(), random.IntN(500), random.IntN(2000))
			m, err = events.NewSandboxCreated(meta, account, events.SandboxCreated{ID: fmt.Sprintf("sbx_%016x", random.Uint64()),
				Template: "code-interpreter-v1", Metadata: []byte(metadata)})
		}
		if err != nil {
			b.Fatal(err)
		}
		return m, n <= sandboxes+2
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCodings measures GET of a document of 100,000 sandboxes, and of
// usual ones, plain and compressed, in turns: rates are of the document, not
// of what is sent.
func BenchmarkCodings(b *testing.B) {
	const turns, clients = 5, 8
	s, usual, large := newLargeStack(b)
	addr := serveOurs(b, export.NewReader(s.pool))
	for b.Loop() {
		took, sent := map[string]time.Duration{}, map[string]int64{}
		for range turns {
			for _, coding := range codings {
				began := time.Now()
				sent[coding] = download(b, addr, large, coding)
				took[coding] += time.Since(began)
			}
		}
		size := sent["identity"]
		row(b, fmt.Sprintf("GET of %.1f MB, 100,000 sandboxes", float64(size)/1e6), "  MB/s", "  of plain", "  of the size is sent")
		for _, coding := range codings {
			share := took["identity"].Seconds() / took[coding].Seconds()
			row(b, "  "+coding, fmt.Sprintf("%6.0f", float64(size)*turns/took[coding].Seconds()/1e6),
				fmt.Sprintf("%6.0f %%", 100*share), fmt.Sprintf("%6.1f %%", 100*float64(sent[coding])/float64(size)))
			b.ReportMetric(share, coding+"-of-plain")
		}
		requests, answers, length := map[string][]string{}, map[string]int{}, map[string]int64{}
		for _, coding := range codings {
			for _, id := range usual {
				requests[coding] = append(requests[coding], getExport(b, id, "Accept-Encoding: "+coding))
			}
			length[coding] = download(b, addr, usual[0], coding)
		}
		kept := dial(b, addr, clients)
		for range 2 * turns {
			for _, coding := range codings {
				answers[coding] += len(load(b, kept, requests[coding], 500*time.Millisecond))
			}
		}
		hangUp(kept)
		row(b, fmt.Sprintf("GET of %d bytes, 8 clients", length["identity"]), "          rate", "     of plain", "  of the size is sent")
		for _, coding := range codings {
			row(b, "  "+coding, rate(answers[coding], turns*time.Second), fmt.Sprintf("%6.0f %%", 100*float64(answers[coding])/float64(answers["identity"])),
				fmt.Sprintf("%6.1f %%", 100*float64(length[coding])/float64(length["identity"])))
		}
	}
}

// download gives how many bytes of body were sent.
func download(b *testing.B, addr string, account events.UUID, coding string) int64 {
	b.Helper()
	c := dial(b, addr, 1)
	defer hangUp(c)
	if _, err := io.WriteString(c[0], getExport(b, account, "Accept-Encoding: "+coding)); err != nil {
		b.Fatal(err)
	}
	resp, err := http.ReadResponse(c[0].in, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || coding != "identity" && resp.Header.Get("Content-Encoding") != coding {
		b.Fatalf("%d %v %v", resp.StatusCode, resp.Header, err)
	}
	return n
}

// BenchmarkSlowReaders measures what 64 clients cost the program cmd/api that
// ask for a document of tens of megabytes and take some 40 kB of it a second:
// memory, database connections, and what is left for usual requests.
func BenchmarkSlowReaders(b *testing.B) {
	const readers, clients, turns, turn = 64, 8, 3, 3 * time.Second
	s, usual, large := newLargeStack(b)
	var requests []string
	for _, id := range usual {
		requests = append(requests, getExport(b, id))
	}
	for b.Loop() {
		for _, pool := range []int{20, 60} {
			for _, coding := range []string{"identity", "zstd"} {
				p := startAPI(b, s, pool)
				kept := dial(b, p.HTTP, clients)
				load(b, kept, requests, turn) // warm
				idle := p.memory(b)
				p.forget(b)
				load(b, kept, requests, turn)
				usualPeak := p.memory(b)
				var without, with, commitsWithout, commitsWith []time.Duration
				var served, refused, held int
				var dead, deadWith int64
				for range turns {
					without = append(without, load(b, kept, requests, turn)...)
					commitsWithout = append(commitsWithout, commits(b, s)...)
					dead = max(dead, deadAfterVacuum(b, s))
					crowd := slowly(b, p.HTTP, readers, getExport(b, large, "Accept-Encoding: "+coding))
					served, refused = crowd.served, crowd.refused
					held = p.connections(b)
					with = append(with, load(b, kept, requests, turn)...)
					commitsWith = append(commitsWith, commits(b, s)...)
					deadWith = max(deadWith, deadAfterVacuum(b, s))
					crowd.leave()
				}
				peak := p.memory(b)
				hangUp(kept)
				p.end(b)
				row(b, fmt.Sprintf("64 slow readers, %s, pool of %d", coding, pool), fmt.Sprintf("%d are served, %d told to come again, %d connections held", served, refused, held))
				row(b, "  most memory: GETs, and slow readers", mebibytes(usualPeak.peak), mebibytes(peak.peak),
					fmt.Sprintf("%.1f MiB a reader", float64(peak.peak-usualPeak.peak)/float64(max(1, served))/(1<<20)), "idle "+mebibytes(idle.now))
				share := float64(len(with)) / float64(len(without))
				tail := percentile(with, 0.99).Seconds() / percentile(without, 0.99).Seconds()
				row(b, "  usual GETs meanwhile", fmt.Sprintf("%.0f %%", share*100), fmt.Sprintf("p99 × %.2f", tail))
				row(b, "  commits of checkpoints meanwhile", fmt.Sprintf("p99 × %.2f", percentile(commitsWith, 0.99).Seconds()/percentile(commitsWithout, 0.99).Seconds()),
					fmt.Sprintf("%d rows dead after a vacuum, %d without", deadWith, dead))
				b.ReportMetric(share, fmt.Sprintf("gets-%d-%s", pool, coding))
			}
		}
	}
}

// commits are how long commits take that move the checkpoint of a partition.
func commits(b *testing.B, s *stack) (took []time.Duration) {
	b.Helper()
	for range 1000 {
		began := time.Now()
		if _, err := s.pool.Exec(b.Context(), `
UPDATE export.checkpoints SET position = position + 1, as_of = now()
WHERE partition = 0 AND generation = (SELECT generation FROM export.generations WHERE state = 'live')`); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	return took
}

// deadAfterVacuum is how many dead rows of checkpoints a vacuum has to leave.
func deadAfterVacuum(b *testing.B, s *stack) (dead int64) {
	b.Helper()
	if _, err := s.pool.Exec(b.Context(), `VACUUM export.checkpoints`); err != nil {
		b.Fatal(err)
	}
	if err := s.pool.QueryRow(b.Context(), `SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'export.checkpoints'::regclass`).Scan(&dead); err != nil {
		b.Fatal(err)
	}
	return dead
}

// program is cmd/api, running.
type program struct {
	HTTP, Admin string // addresses
	cmd         *exec.Cmd
}

func startAPI(b *testing.B, s *stack, pool int) *program {
	b.Helper()
	return startAPIAt(b, s.pg.URL()+"&pool_max_conns="+strconv.Itoa(pool))
}

func startAPIAt(b *testing.B, url string) *program {
	b.Helper()
	path := filepath.Join(b.TempDir(), "api")
	if out, err := exec.Command("go", "build", "-o", path, "accountexport/cmd/api").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	p := &program{cmd: exec.Command(path)}
	p.cmd.Env = append(os.Environ(), "DATABASE_URL="+url, "HTTP_ADDR=127.0.0.1:0",
		"ADMIN_ADDR=127.0.0.1:0", "JWT_ISSUER="+issuer, "JWT_SECRET="+secret, "DRAIN_DELAY=1ms")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
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

func (p *program) end(b *testing.B) {
	b.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		b.Error(err)
	}
}

// memory is what a program holds, in bytes of RAM.
type memory struct{ now, peak int64 }

func (p *program) memory(b *testing.B) memory {
	b.Helper()
	m, err := memoryOf(p.cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// memoryOf is what the system says of a process that runs.
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

// forget lets the peak begin anew.
func (p *program) forget(b *testing.B) {
	b.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

// connections are those of the database that are in use.
func (p *program) connections(b *testing.B) (n int) {
	b.Helper()
	resp, err := http.Get("http://" + p.Admin + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := bytes.Cut(text, []byte("\npgxpool_acquired_connections "))
	if _, err := fmt.Sscan(string(after), &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// slowReaders read an answer each.
type slowReaders struct {
	served, refused int
	all             sync.WaitGroup
	left            chan struct{}
}

// slowly sends the request over n connections, and takes the answers slowly
// until the readers leave.
func slowly(b *testing.B, addr string, n int, request string) *slowReaders {
	b.Helper()
	r := &slowReaders{left: make(chan struct{})}
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil {
			b.Fatal(err)
		}
		var status [len("HTTP/1.1 200")]byte
		if _, err := io.ReadFull(c, status[:]); err != nil {
			b.Fatal(err)
		}
		if string(status[:]) != "HTTP/1.1 200" {
			r.refused++
			c.Close()
			continue
		}
		r.served++
		r.all.Go(func() {
			defer c.Close()
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			buf := make([]byte, 4<<10)
			for {
				select {
				case <-r.left:
					return
				case <-tick.C:
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	return r
}

func (r *slowReaders) leave() {
	close(r.left)
	r.all.Wait()
}
