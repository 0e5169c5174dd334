package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/readmodel/store"
)

// BenchmarkRebuild measures `projector rebuild`, the program itself from its
// start to the comparison of the generations, over 1.2 million events: its rate
// against reading the stream and doing nothing, and the most memory it held,
// with few accounts and with many.
func BenchmarkRebuild(b *testing.B) {
	total, fewAccounts, manyAccounts := size(1_200_000, 150_000), size(10_000, 2_000), size(300_000, 40_000)
	program := buildProjector(b)
	for b.Loop() {
		few, fewTook, raw := rebuild(b, program, fewAccounts, total)
		many, manyTook, _ := rebuild(b, program, manyAccounts, total)
		row(b, "raw reading", rate(total, raw))
		row(b, fmt.Sprintf("rebuild, %d accounts", fewAccounts), rate(total, fewTook))
		row(b, "  share of raw (aim: 50 %)", percent(raw, fewTook))
		row(b, fmt.Sprintf("rebuild, %d accounts", manyAccounts), rate(total, manyTook))
		row(b, "  share of raw", percent(raw, manyTook))
		row(b, fmt.Sprintf("memory, %d accounts", fewAccounts), mebibytes(few))
		row(b, fmt.Sprintf("memory, %d accounts", manyAccounts), mebibytes(many))
		row(b, "  ratio (aim: 1.5)", times(many, few))
		b.ReportMetric(raw.Seconds()/fewTook.Seconds(), "of-raw")
		b.ReportMetric(float64(many)/float64(few), "memory-ratio")
	}
}

func buildProjector(b *testing.B) (program string) {
	b.Helper()
	program = filepath.Join(b.TempDir(), "projector")
	if out, err := exec.Command("go", "build", "-o", program, "accountexport/cmd/projector").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return program
}

// rebuild gives the most memory that a rebuild held, in bytes, how long it
// took, and how long reading alone takes.
func rebuild(b *testing.B, program string, accounts, total int) (memory int64, took, raw time.Duration) {
	b.Helper()
	s := newStack(b)
	backlog := workload.NewBacklog(1, accounts, total)
	n, err := s.client.PublishAll(b.Context(), func() (events.Message, bool) {
		m, ok := backlog.Next()
		return message(m.Subject, m.Header, m.Data), ok
	})
	if err != nil {
		b.Fatal(err)
	}
	s.liveNothing(b)
	raw = readAll(b, s, n)
	cmd := exec.Command(program, "rebuild", "--cutover=manual", "--accept-differences")
	cmd.Env = append(os.Environ(), "DATABASE_URL="+s.pg.URL(), "NATS_URL="+s.nats.URL(), "ADMIN_ADDR=127.0.0.1:0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				b.Fatalf("%v: %s", err, &out)
			}
			return memory, time.Since(began), raw
		case <-time.After(50 * time.Millisecond):
			if m, err := memoryOf(cmd.Process.Pid); err == nil { // else it has just ended
				memory = max(memory, m.peak)
			}
		}
	}
}

// liveNothing makes a live generation that nobody projects.
func (s *stack) liveNothing(b *testing.B) {
	b.Helper()
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	store := store.NewStore(s.pool, "bench", quiet())
	defer store.Close(b.Context())
	if _, err := store.Acquire(b.Context(), info); err != nil {
		b.Fatal(err)
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%8.0f MiB", float64(n)/(1<<20)) }

func times(a, b int64) string { return fmt.Sprintf("× %.2f", float64(a)/float64(b)) }
