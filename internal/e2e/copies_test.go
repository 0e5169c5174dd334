package e2e

import (
	"testing"
	"time"
)

// TestPromotedMirrorIsFinished: a mirror exists while an account is
// erased; `erase` names it and ends with 1. Then the origin is lost and the
// mirror promoted and accepted: the stream that is projected now holds all of the
// erased person's messages, accept and status say that all is well.
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

// TestRestoredFromTheMiddleBesideACopy: as TestRestoredFromTheMiddle, with a mirror that
// keeps what it has.
func TestRestoredFromTheMiddleBesideACopy(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishStray(t, someone)
	s.waitProjected(t)
	if _, err := s.client.PublishErased(t.Context(), uuid(t, someone), time.Now()); err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)
	s.createMirror(t, "MIRROR")
	kept := s.readMessages(t)
	s.erase(t, someone, 1, "KEEPS")
	projector.stop(t)
	s.recreateWith(t, kept)
	s.mustRun(t, 12, "projector accept", "run")
	s.mustRun(t, 1, "--purge-copies MIRROR", "rebuild", "--accept-differences") // made live, and the copy keeps what it has
	s.startProjector(t)
	s.waitProjected(t)
	s.checkErased(t, someone)
	s.mustRun(t, 0, "the erasure of account "+someone+" is not finished", "status")
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.checkNoTraces(t)
}

// TestAdviceOnCopiesArrives: the receipt names the copy; what it advises is done
// to the letter, and the copy keeps the address that only the first run knew.
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

// TestAdviceOnCopiesOfAcceptArrives: the same for `accept`, which advises it, too.
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

// TestDamagedCopyIsNamed: a message of a mirror is damaged. What `erase
// --purge-copies` advises then is done to the letter, and ends it.
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
