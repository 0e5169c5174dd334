package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// TestAdviceOf17Arrives: the stream is restored from before an erasure, and has grown beyond the
// checkpoint since. `run` and `status` exit with the same status, and the first command that is
// named resolves it.
func TestAdviceOf17Arrives(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	restore := s.backUpNATS(t)
	s.publishMarked(t, someone, 5)
	s.waitProjected(t)
	s.eraseEventually(t, someone)
	projector.stop(t)
	restore()
	s.restartNATS(t)
	s.publishMarked(t, another, 8)
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
	_, exit := s.run(t, args...)
	if _, after := command(t, "projector", s.settings, "status"); after >= 10 {
		t.Errorf("run (%d) names %q first; it ends with %d, and status with %d", ran, first, exit, after)
	}
}
