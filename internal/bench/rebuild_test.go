package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// BenchmarkRebuild measures `projector rebuild`, the program itself from its start to the
// comparison of the generations, over 1.2 million events of few accounts and of many (four
// messages each), against the same limit as catching up.
func BenchmarkRebuild(b *testing.B) {
	program := buildProjector(b)
	total := size(1_200_000, 150_000)
	for _, shape := range []struct {
		name     string
		accounts int
	}{{"few accounts", size(10_000, 2_000)}, {"many accounts", size(300_000, 40_000)}} {
		b.Run(fmt.Sprintf("accounts=%d", shape.accounts), func(b *testing.B) {
			r := newReport(b, "Rebuild, "+shape.name)
			s := newStack(b)
			n := publishBacklog(b, s, workload.NewBacklog(1, shape.accounts, total))
			r.addShape(shape.accounts, n)
			s.catchUp(b, program, n)
			for b.Loop() {
				for range size(3, 1) {
					m := s.measure(b, func() (time.Duration, int64) { return s.rebuild(b, program) })
					r.addBuilt(m, n, s.limit(b, n))
				}
			}
		})
	}
}

// rebuild builds a new generation from the beginning, compares it with the live one, and
// leaves it at that. It gives the program's CPU time and the most memory that it used.
func (s *stack) rebuild(b *testing.B, program string) (cpu time.Duration, peak int64) {
	b.Helper()
	return startProcess(b, s.command(program, "rebuild", "--cutover=manual", "--restart", "--yes")).ended(b)
}
