package e2e

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAdviceOf17Arrives: the stream is restored from before an erasure, and has
// grown beyond the checkpoint since. `run` and `status` have to end with one status,
// and the first command that is named has to end it.
func TestAdviceOf17Arrives(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	restore := s.backUp(t)
	s.marked(t, someone, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.inTheEndErased(t, someone)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	restore()
	s.freshly(t)
	s.marked(t, another, 8)
	run, ran := command(t, "projector", s.settings, "run")
	out, status := command(t, "projector", s.settings, "status")
	if ran != status {
		t.Errorf("run ends with %d, and status with %d: %.300s\n%.300s", ran, status, run, out)
	}
	advice := regexp.MustCompile("`projector ([^`]+)`").FindAllStringSubmatch(run, -1)
	var first string
	for _, a := range advice {
		if a[1] != "run" {
			first = a[1]
			break
		}
	}
	args := strings.Fields(first)
	if first == "accept" {
		args = append(args, "--yes")
	}
	did, exit := command(t, "projector", s.settings, args...)
	t.Logf("%v: exit %d: %s", args, exit, did)
	if _, after := command(t, "projector", s.settings, "status"); after >= 10 {
		t.Errorf("run (%d) names %q first; it ends with %d, and status with %d", ran, first, exit, after)
	}
}
