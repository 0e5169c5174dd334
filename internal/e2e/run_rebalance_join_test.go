package e2e

import (
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestWhoJoinsSaysNoPosition: a replica without a partition logs no position, and logs it once it
// has partitions.
func TestWhoJoinsSaysNoPosition(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.mustPublish(t, workload.New(8, workload.Config{Accounts: 50}), 500)
	s.waitProjected(t)
	second := s.startProjector(t)
	eventually(t, "the second one to have partitions", time.Minute, hasPrinted(second, " position="))
	out := second.out.tail(1 << 20)
	if strings.Contains(out, "position=0") {
		t.Errorf("it says a position that it is not at: %s", out)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "following the stream") && strings.Contains(line, "position=") != !strings.Contains(line, "partitions=0") ||
			strings.Contains(line, "partitions have moved") && !strings.Contains(line, " position=") {
			t.Errorf("it says %s", line)
		}
	}
}
