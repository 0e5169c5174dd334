package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections"
)

// TestCopiesAreNamed: the receipt and exit status 1 name the mirrors of the stream and the streams
// that source from it or from a mirror. --purge-copies erases in each of them, and they have to be
// named one by one.
func TestCopiesAreNamed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	js := jetStream(t, s.nats.URL())
	for _, cfg := range []jetstream.StreamConfig{
		{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}},
		{Name: "OF_THE_MIRROR", Sources: []*jetstream.StreamSource{{Name: "MIRROR"}}},
		{Name: "ELSEWHERE", Sources: []*jetstream.StreamSource{{Name: "CONTROL_PLANE",
			SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: ">", Destination: "archive.>"}}}}},
		{Name: "UNRELATED", Subjects: []string{"unrelated"}},
	} {
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	s.publishMarked(t, another, 2)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.waitProjected(t)
	copies := []string{"MIRROR", "OF_THE_MIRROR", "ELSEWHERE"}
	eventually(t, "everything copied", time.Minute, func(ctx context.Context) error {
		for _, name := range copies {
			st, err := js.Stream(ctx, name)
			if err != nil {
				return err
			}
			if n := st.CachedInfo().State.Msgs; n != 8 {
				return fmt.Errorf("%s has %d", name, n)
			}
		}
		return nil
	})
	out := s.erase(t, someone, 1, nothingLeft)
	for _, name := range copies {
		if !strings.Contains(out, "copy               stream "+name+" KEEPS") {
			t.Errorf("stream %s is not named: %s", name, out)
		}
	}
	if strings.Contains(out, "UNRELATED") {
		t.Errorf("what is no copy is named: %s", out)
	}
	s.erase(t, someone, 1, "stream UNRELATED is no copy", "--purge-copies", "UNRELATED,MIRROR")
	s.erase(t, someone, 1, "--purge-copies ELSEWHERE,OF_THE_MIRROR", "--purge-copies", "MIRROR")
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "OF_THE_MIRROR,MIRROR,ELSEWHERE")
	for _, name := range copies {
		left := 0
		if err := s.client.WithStream(name).ReadAll(t.Context(), func(m projections.Message) error {
			left++
			if strings.Contains(strings.ToLower(m.Subject), someone) && !strings.HasPrefix(m.Subject, "controlplane.account.") {
				t.Errorf("stream %s holds %s", name, m.Subject)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if left < 2 || left > 3 { // two of the other account, and the erased event
			t.Errorf("stream %s holds %d messages", name, left)
		}
	}
}

// TestAdviceOnCopiesArrives: after an erasure that left a copy, the advised `erase --purge-copies`
// removes from the copy also what only the account's e-mail address tells, although that address is
// no longer in the stream.
func TestAdviceOnCopiesArrives(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishRaw(t, "controlplane.account.mistyped", `{"email":"`+addressOf(someone)+`"}`)
	s.waitProjected(t)
	s.createMirror(t, "MIRROR")
	s.erase(t, someone, 1, "KEEPS")
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.client = s.client.WithStream("MIRROR")
	s.checkNoTraces(t)
}

// TestAdviceOnCopiesOfAcceptArrives: the same for an erasure that `accept` carried out anew.
func TestAdviceOnCopiesOfAcceptArrives(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishRaw(t, "controlplane.account.mistyped", `{"email":"`+addressOf(someone)+`"}`)
	s.waitProjected(t)
	s.createMirror(t, "MIRROR")
	projector.stop(t)
	s.importErasure(t, someone)
	s.mustRun(t, 1, "--purge-copies MIRROR", "accept", "--yes")
	s.startProjector(t)
	s.waitProjected(t)
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.checkNoTraces(t)
	s.client = s.client.WithStream("MIRROR")
	s.checkNoTraces(t)
}

// TestDamagedCopyIsNamed: when a message of a mirror cannot be read, `erase --purge-copies` advises
// to remove that copy. Without the copy the erasure is complete.
func TestDamagedCopyIsNamed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishTexts(t, "flip-a", 3)
	s.publishAndWait(t)
	s.createMirror(t, "MIRROR")
	s.flipBit(t, "MIRROR", "flip-a-1")
	s.restartNATS(t)
	s.publishAndWait(t)
	s.waitMirrored(t, "MIRROR")
	s.erase(t, someone, 1, "remove that copy, and make it anew", "--purge-copies", "MIRROR")
	if err := jetStream(t, s.nats.URL()).DeleteStream(t.Context(), "MIRROR"); err != nil {
		t.Fatal(err)
	}
	s.erase(t, someone, 0, nothingLeft)
}

// TestCopiesOfWhatIsErasedAnew: when a copy of the stream keeps what is erased anew, `accept` names
// it and exits with 1. An erasure that leaves a copy gets no receipt on the ledger.
func TestCopiesOfWhatIsErasedAnew(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishMarked(t, another, 3)
	s.waitProjected(t)
	s.createMirror(t, "MIRROR")
	s.erase(t, another, 1, "KEEPS")
	if out := s.mustRun(t, 0, another, "erasures", "list"); strings.Contains(out, "sha256:") {
		t.Errorf("a receipt is noted: %s", out)
	}
	projector.stop(t)
	s.importErasure(t, someone)
	s.mustRun(t, 1, "--purge-copies MIRROR", "accept", "--yes")
	s.mustRun(t, 0, "nothing to accept", "accept", "--yes")
	s.startProjector(t)
	s.waitProjected(t)
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.erase(t, another, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.mustRun(t, 0, "sha256:", "erasures", "list")
}

// TestPromotedMirrorIsFinished: an account is erased while a mirror keeps its messages, and then
// the stream is lost and the mirror promoted in its place. Accepting that stream erases the account
// in it.
func TestPromotedMirrorIsFinished(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.publishAndWait(t)
	s.createMirror(t, "PROMOTED")
	s.erase(t, someone, 1, "KEEPS")
	s.waitMirrored(t, "PROMOTED")
	projector.stop(t)
	s.promote(t, "PROMOTED")
	s.run(t, "accept", "--yes")
	s.startProjector(t)
	s.publishAndWait(t)
	s.run(t, "status")
	s.run(t, "accept")
	s.checkNoTraces(t)
	s.checkErased(t, someone)
}

// TestRestoredFromTheMiddleBesideACopy is TestRestoredFromTheMiddle with a mirror that keeps the
// account's messages.
func TestRestoredFromTheMiddleBesideACopy(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.waitProjected(t)
	s.publishErased(t, someone)
	s.waitProjected(t)
	s.createMirror(t, "MIRROR")
	kept := s.readMessages(t)
	s.erase(t, someone, 1, "KEEPS")
	projector.stop(t)
	s.recreateWith(t, kept)
	s.mustRun(t, 12, "projector accept", "run")
	s.mustRun(t, 1, "--purge-copies MIRROR", "rebuild", "--accept-differences") // the generation is live, and the copy keeps its messages
	s.startProjector(t)
	s.waitProjected(t)
	s.checkErased(t, someone)
	s.mustRun(t, 0, "the erasure of account "+someone+" is not finished", "status")
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.checkNoTraces(t)
}
