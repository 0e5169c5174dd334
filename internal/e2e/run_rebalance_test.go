package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/workload"
	"accountexport/readmodel/admin"
)

// sharedEvenly returns a condition for [eventually]: the live replicas own these numbers of the 16
// partitions.
func (s *system) sharedEvenly(want ...int) func(context.Context) error {
	return func(ctx context.Context) error {
		st, err := admin.ReadStatus(ctx, s.pool)
		if err != nil {
			return err
		}
		var got []int
		for _, m := range st.Members {
			got = append(got, m.Partitions)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("shared as %v, want %v", got, want)
		}
		return nil
	}
}

// waitPassed waits until everything that the stream holds now is projected, and logs how long that
// took.
func (s *system) waitPassed(t *testing.T, what string) {
	t.Helper()
	info := s.info(t)
	began := time.Now()
	eventually(t, what, time.Minute, func(ctx context.Context) error { return s.reached(ctx, info.Last) })
	t.Logf("%s: all that was published is projected %.1f s after", what, time.Since(began).Seconds())
}

// TestManyProjectors: three replicas share the partitions. A fourth takes its share, one that is
// asked to end hands its partitions over, those of a killed or frozen one are taken over, and a
// frozen one restarts its session when it continues, all while events are published. Everything
// equals one fold in the end.
func TestManyProjectors(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	g := workload.New(51, workload.Config{Accounts: 200, HostileShare: 0.1, ErasureShare: 0.001})
	stopPublishing := s.publishUntilStopped(t, g, 200, 200*time.Millisecond)

	one := s.startProjector(t)
	eventually(t, "one to have all", time.Minute, s.sharedEvenly(16))
	two, three := s.startProjector(t), s.startProjector(t)
	eventually(t, "three to share", time.Minute, s.sharedEvenly(5, 5, 6))
	four := s.startProjector(t)
	eventually(t, "four to share", time.Minute, s.sharedEvenly(4, 4, 4, 4))
	for _, p := range []*process{one, two, three, four} {
		if out := p.out.tail(1 << 20); strings.Contains(out, "starting again") {
			t.Errorf("a replica began anew although none was lost: %s", out)
		}
	}

	four.stop(t)
	eventually(t, "three to share again", time.Minute, s.sharedEvenly(5, 5, 6))
	s.waitPassed(t, "one left")

	before := s.partitionsByOwner(t)
	three.kill()
	s.waitPassed(t, "one was killed")
	eventually(t, "two to share", time.Minute, s.sharedEvenly(8, 8))
	if after := s.partitionsByOwner(t); !ownersKeptAll(before, after) {
		t.Errorf("partitions of the living moved: before %v, after %v", before, after)
	}

	two.signal(syscall.SIGSTOP)
	s.waitPassed(t, "one was frozen")
	eventually(t, "one to have all", time.Minute, s.sharedEvenly(16))
	two.signal(syscall.SIGCONT)
	eventually(t, "the thawed one to share", time.Minute, s.sharedEvenly(8, 8))
	eventually(t, "the thawed one to say that it began anew", time.Minute, hasPrinted(two, "starting again"))
	if out := one.out.tail(1 << 20); strings.Contains(out, "starting again") {
		t.Errorf("the one that lived through all began anew: %s", out)
	}

	n := stopPublishing()
	s.waitPassed(t, "in the end")
	accounts, messages := s.checkAgainstOracle(t)
	t.Logf("%d messages, %d accounts compared", messages, accounts)
	if messages != n {
		t.Errorf("the stream holds %d messages, %d were published", messages, n)
	}
}

// partitionsByOwner are the partitions of each replica, as `status` prints them.
func (s *system) partitionsByOwner(t *testing.T) map[string][]int {
	t.Helper()
	var st struct {
		Members []struct {
			Name       string
			Partitions int
		}
		Partitions []struct {
			Partition int
			Owner     string
		}
	}
	out, _ := command(t, "projector", s.settings, "status", "--json")
	if err := json.Unmarshal(jsonPart(out), &st); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	owned := map[string][]int{}
	for _, p := range st.Partitions {
		owned[p.Owner] = append(owned[p.Owner], p.Partition)
	}
	for _, m := range st.Members {
		if len(owned[m.Name]) != m.Partitions {
			t.Errorf("member %s has %d partitions, and owns %v", m.Name, m.Partitions, owned[m.Name])
		}
	}
	return owned
}

// ownersKeptAll reports whether the owners that are in both kept all their partitions.
func ownersKeptAll(before, after map[string][]int) bool {
	for owner, partitions := range after {
		for _, p := range before[owner] {
			if !slices.Contains(partitions, p) {
				return false
			}
		}
	}
	return true
}
