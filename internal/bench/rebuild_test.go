package bench

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// BenchmarkRebuild measures `projector rebuild`, the program itself from its start to the
// comparison of the generations, over 1.2 million events: its rate against only reading the stream,
// and the most memory that it used, with few accounts and with many.
func BenchmarkRebuild(b *testing.B) {
	total, fewAccounts, manyAccounts := size(1_200_000, 150_000), size(10_000, 2_000), size(300_000, 40_000)
	program := buildProjector(b)
	for b.Loop() {
		few, fewTook, raw := measureRebuild(b, program, fewAccounts, total)
		many, manyTook, _ := measureRebuild(b, program, manyAccounts, total)
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

// measureRebuild returns the most memory that a rebuild used, in bytes, how long it took, and how
// long reading alone takes.
func measureRebuild(b *testing.B, program string, accounts, total int) (memory int64, took, raw time.Duration) {
	b.Helper()
	s := newStack(b)
	backlog := workload.NewBacklog(1, accounts, total)
	n := publishBacklog(b, s, backlog)
	s.createLiveGeneration(b)
	raw = timeReading(b, s, n)
	cmd := s.command(program, "rebuild", "--cutover=manual", "--accept-differences")
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
			if m, err := memoryOf(cmd.Process.Pid); err == nil { // an error means that it has just ended
				memory = max(memory, m.peak)
			}
		}
	}
}
