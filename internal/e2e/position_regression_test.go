package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPurgedErasureIsMadeAnew: somebody has purged the erased event, too. Both
// ways out that the refusal names end it.
func TestPurgedErasureIsMadeAnew(t *testing.T) {
	t.Parallel()
	for _, way := range [][]string{{"rebuild"}, {"accept", "--yes"}} {
		t.Run(way[0], func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			projector := s.startProjector(t)
			s.publishMarked(t, someone, 3)
			s.publishMarked(t, another, 3)
			s.waitProjected(t)
			s.erase(t, someone, 0, nothingLeft)
			s.publishMarked(t, another, 3)
			s.waitProjected(t)
			projector.stop(t)
			first, err := s.client.FirstErased(t.Context(), uuid(t, someone))
			if err != nil {
				t.Fatal(err)
			}
			if gone, err := s.client.DeleteMessage(t.Context(), first.Position); err != nil || !gone {
				t.Fatal(gone, err)
			}
			s.mustRun(t, 18, "`projector "+way[0]+"`", "run")
			s.mustRun(t, 0, "1 erasures were carried out anew", way...)
			s.startProjector(t)
			s.waitProjected(t)
			s.mustRun(t, 0, "", "status")
			s.checkErased(t, someone)
			s.mustRun(t, 0, " 0 differ", "verify", "--all")
		})
	}
}

// TestNewMajorVersionTakesNobodyBack: a new major version comes together with a
// stream that was restored from before. That it folds otherwise explains no
// position that goes back.
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

// TestGoingBackIsNamed: only messages of nobody are lost with the stream's end, so
// that no account differs, and positions go back all the same: the refusal names
// what goes on with it, and that does.
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

// TestErasedDoesNotReturnByACutOver: the stream was restored from before an
// erasure, as another one. That the account would return is said by the rebuild,
// and the cut-over erases it in the new stream before it is made live.
func TestErasedDoesNotReturnByACutOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	before := s.readMessages(t)
	s.erase(t, someone, 0, nothingLeft)
	projector.stop(t)
	s.recreateWith(t, before)
	s.mustRun(t, 0, "1 that are erased and are not so in generation 2 are erased in it anew", "rebuild", "--cutover=manual")
	s.mustRun(t, 0, "1 erasures were carried out anew", "cutover")
	s.checkErased(t, someone)
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
}
