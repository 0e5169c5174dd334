package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNewMajorVersionTakesNobodyBack: a new major version comes together with a stream that was
// restored from before. The other version explains other documents, and no position that goes back:
// the rebuild refuses to cut over.
func TestNewMajorVersionTakesNobodyBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	restore := s.backUpNATS(t)
	s.publishMarked(t, someone, 5)
	s.waitProjected(t)
	projector.stop(t)
	restore()
	s.publishMarked(t, another, 20)
	if _, err := s.pool.Exec(t.Context(), `UPDATE export.generations SET version_major = version_major - 1`); err != nil {
		t.Fatal(err)
	}
	s.checkStatusConsistent(t, 10)
	s.mustRun(t, 10, "projector rebuild", "run")
	out := s.mustRun(t, 1, "`projector rebuild --accept-differences` does so all the same (1 will go back)", "rebuild")
	if !strings.Contains(out, "by more than another projection version explains") {
		t.Errorf("why is not said: %s", out)
	}
	s.mustRun(t, 10, "", "status") // generation 1 is still live
	list := filepath.Join(t.TempDir(), "differ")
	s.mustRun(t, 1, "--list: open", "rebuild", "--list", filepath.Join(list, "of no folder"))
	s.mustRun(t, 0, "are in "+list, "rebuild", "--accept-differences", "--list", list)
	if all, err := os.ReadFile(list); err != nil || string(all) != someone+"\tposition\n" {
		t.Errorf("%q, %v", all, err)
	}
}

// TestGoingBackIsNamed: the lost end of the stream held only messages of no account, so no document
// differs, and positions go back all the same. Every refusal names the command that continues, and
// that command succeeds.
func TestGoingBackIsNamed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	s.mustRun(t, 0, "is live", "rebuild")
	s.waitProjected(t)
	restore := s.backUpNATS(t)
	for range 5 {
		s.publishRaw(t, "controlplane.nobody.typo", "no event")
	}
	s.waitProjected(t)
	projector.stop(t)
	restore()
	s.mustRun(t, 13, "projector rebuild --accept-differences", "run")
	s.mustRun(t, 1, "`projector rebuild --accept-differences`", "rollback")
	s.mustRun(t, 1, "`projector rebuild --accept-differences`", "rebuild")
	s.mustRun(t, 1, "`projector cutover --accept-differences`", "cutover")
	s.mustRun(t, 0, "is live", "rebuild", "--accept-differences")
	s.mustRun(t, 0, "", "status")
}
