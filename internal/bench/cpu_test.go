package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ticksPerSecond is the unit of the CPU times in /proc, which Linux fixes for programs
// (USER_HZ), whatever the kernel's own.
const ticksPerSecond = 100

// cpuOf is how much CPU time a process and all that it has started have used, those that
// have ended included. For PostgreSQL's first process that is the whole server.
func cpuOf(b testing.TB, pid int) time.Duration {
	b.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		b.Fatal(err)
	}
	type process struct {
		parent    int
		own, gone int64 // ticks: its own, and those of children that have ended
	}
	all := map[int]process{}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
		if err != nil {
			continue // it has ended meanwhile
		}
		_, after, _ := strings.Cut(string(text), ") ") // the name may hold anything
		f := strings.Fields(after)
		if len(f) < 15 {
			b.Fatalf("/proc/%d/stat: %q", id, text)
		}
		n := func(i int) int64 { v, _ := strconv.ParseInt(f[i], 10, 64); return v }
		all[id] = process{int(n(1)), n(11) + n(12), n(13) + n(14)}
	}
	var ticks int64
	for id := range all {
		for up := id; up > 1; up = all[up].parent {
			if up == pid {
				ticks += all[id].own + all[id].gone
				break
			}
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// cpuTimes are what the servers, and the program between them, have used.
type cpuTimes struct{ projector, nats, postgres time.Duration }

func (t cpuTimes) sum() time.Duration { return t.projector + t.nats + t.postgres }

// minus is what was used since.
func (t cpuTimes) minus(before cpuTimes) cpuTimes {
	return cpuTimes{t.projector - before.projector, t.nats - before.nats, t.postgres - before.postgres}
}

// serversCPU is what the two servers have used so far.
func (s *stack) serversCPU(b testing.TB) cpuTimes {
	b.Helper()
	return cpuTimes{nats: cpuOf(b, s.nats.Pid()), postgres: cpuOf(b, s.pg.PID())}
}
