package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
)

// TestPurgedErasureIsMadeAnew: somebody has purged the erased event, too. Both
// ways out that the refusal names end it.
func TestPurgedErasureIsMadeAnew(t *testing.T) {
	t.Parallel()
	for _, way := range [][]string{{"rebuild"}, {"accept", "--yes"}} {
		t.Run(way[0], func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			projector := launch(t, "projector", s.settings, "run")
			s.marked(t, someone, 3)
			s.marked(t, another, 3)
			eventually(t, "everything projected", time.Minute, s.caughtUp)
			s.erase(t, someone, 0, nothingLeft)
			s.marked(t, another, 3)
			eventually(t, "everything projected", time.Minute, s.caughtUp)
			projector.signal(syscall.SIGTERM)
			projector.wait()
			first, err := s.client.FirstErased(t.Context(), uuid(t, someone))
			if err != nil {
				t.Fatal(err)
			}
			if gone, err := s.client.DeleteMessage(t.Context(), first.Position); err != nil || !gone {
				t.Fatal(gone, err)
			}
			s.says(t, 18, "`projector "+way[0]+"`", "run")
			s.says(t, 0, "1 erasures were carried out anew", way...)
			launch(t, "projector", s.settings, "run")
			eventually(t, "everything projected", time.Minute, s.caughtUp)
			s.says(t, 0, "", "status")
			s.mustBeErased(t, someone)
			s.says(t, 0, " 0 differ", "verify", "--all")
		})
	}
}

// TestNewMajorVersionTakesNobodyBack: a new major version comes together with a
// stream that was restored from before. That it folds otherwise explains no
// position that goes back.
func TestNewMajorVersionTakesNobodyBack(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	restore := s.backUp(t)
	s.marked(t, someone, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	restore()
	s.marked(t, another, 20)
	if _, err := s.pool.Exec(t.Context(), `UPDATE export.generations SET version_major = version_major - 1`); err != nil {
		t.Fatal(err)
	}
	s.saysWithoutContradiction(t, 10)
	s.says(t, 10, "projector rebuild", "run")
	out := s.says(t, 1, "`projector rebuild --accept-differences` does so all the same (1 will go back)", "rebuild")
	if !strings.Contains(out, "by more than another projection version explains") {
		t.Errorf("why is not said: %s", out)
	}
	s.says(t, 10, "", "status") // generation 1 is still live
	list := filepath.Join(t.TempDir(), "differ")
	s.says(t, 1, "--list: open", "rebuild", "--list", filepath.Join(list, "of no folder"))
	s.says(t, 0, "are in "+list, "rebuild", "--accept-differences", "--list", list)
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
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "is live", "rebuild")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	restore := s.backUp(t)
	for range 5 {
		if _, err := s.client.PublishRaw(t.Context(), events.Message{Subject: "controlplane.nobody.typo", Data: []byte("no event")}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	restore()
	s.says(t, 13, "projector rebuild --accept-differences", "run")
	s.says(t, 1, "`projector rebuild --accept-differences`", "rollback")
	s.says(t, 1, "`projector rebuild --accept-differences`", "rebuild")
	s.says(t, 1, "`projector cutover --accept-differences`", "cutover")
	s.says(t, 0, "is live", "rebuild", "--accept-differences")
	s.says(t, 0, "", "status")
}

// TestErasedDoesNotReturnByACutOver: the stream was restored from before an
// erasure, as another one. That the account would return is said by the rebuild,
// and the cut-over erases it in the new stream before it is made live.
func TestErasedDoesNotReturnByACutOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	s.marked(t, another, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before := s.messages(t)
	s.erase(t, someone, 0, nothingLeft)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.putMessages(t, before)
	s.says(t, 0, "1 that are erased and are not so in generation 2 are erased in it anew", "rebuild", "--cutover=manual")
	s.says(t, 0, "1 erasures were carried out anew", "cutover")
	s.mustBeErased(t, someone)
	s.says(t, 0, " 0 differ", "verify", "--all")
}
