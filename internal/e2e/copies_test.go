package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
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
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.stray(t, someone)
	s.publishSome(t)
	s.mirrored(t, "PROMOTED")
	s.erase(t, someone, 1, "KEEPS")
	s.mirrorHas(t, "PROMOTED")
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.promote(t, "PROMOTED")
	out, status := command(t, "projector", s.settings, "accept", "--yes")
	t.Logf("accept: exit %d: %s", status, out)
	launch(t, "projector", s.settings, "run")
	s.publishSome(t)
	out, status = command(t, "projector", s.settings, "status")
	t.Logf("status: exit %d: %.300s", status, out)
	out, status = command(t, "projector", s.settings, "accept")
	t.Logf("accept: exit %d: %s", status, out)
	s.noTraces(t)
	s.mustBeErased(t, someone)
}

// TestRestoredFromTheMiddleBesideACopy: as TestRestoredFromTheMiddle, with a mirror that
// keeps what it has.
func TestRestoredFromTheMiddleBesideACopy(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.stray(t, someone)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	if _, err := s.client.PublishErased(t.Context(), uuid(t, someone), time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.mirrored(t, "MIRROR")
	kept := s.messages(t)
	s.erase(t, someone, 1, "KEEPS")
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.putMessages(t, kept)
	s.says(t, 12, "projector accept", "run")
	s.says(t, 1, "--purge-copies MIRROR", "rebuild", "--accept-differences") // made live, and the copy keeps what it has
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.mustBeErased(t, someone)
	s.says(t, 0, "the erasure of account "+someone+" is not finished", "status")
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.noTraces(t)
}

// TestAdviceOnCopiesArrives: the receipt names the copy; what it advises is done
// to the letter, and the copy keeps the address that only the first run knew.
func TestAdviceOnCopiesArrives(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.raw(t, "controlplane.account.mistyped", `{"email":"`+addressOf(someone)+`"}`)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.mirrored(t, "MIRROR")
	s.erase(t, someone, 1, "KEEPS")
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.client = s.client.WithStream("MIRROR")
	s.noTraces(t)
}

// TestAdviceOnCopiesOfAcceptArrives: the same for `accept`, which advises it, too.
func TestAdviceOnCopiesOfAcceptArrives(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.raw(t, "controlplane.account.mistyped", `{"email":"`+addressOf(someone)+`"}`)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.mirrored(t, "MIRROR")
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.importLedger(t, someone, "2026-03-25T07:11:48Z")
	s.says(t, 1, "--purge-copies MIRROR", "accept", "--yes")
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, someone, 0, nothingLeft, "--purge-copies", "MIRROR")
	s.noTraces(t)
	s.client = s.client.WithStream("MIRROR")
	s.noTraces(t)
}

// TestDamagedCopyIsNamed: a message of a mirror is damaged. What `erase
// --purge-copies` advises then is done to the letter, and ends it.
func TestDamagedCopyIsNamed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	s.flippable(t, "flip-a", 3)
	s.publishSome(t)
	s.mirrored(t, "MIRROR")
	s.nats.Halt()
	files, err := filepath.Glob(filepath.Join(s.nats.Dir(), "jetstream", "*", "streams", "MIRROR", "msgs", "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, []byte("flip-a-1")); i >= 0 {
			b[i] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.freshly(t)
	s.publishSome(t)
	s.mirrorHas(t, "MIRROR")
	s.erase(t, someone, 1, "remove that copy, and make it anew", "--purge-copies", "MIRROR")
	if err := jetStream(t, s.nats.URL()).DeleteStream(t.Context(), "MIRROR"); err != nil {
		t.Fatal(err)
	}
	s.erase(t, someone, 0, nothingLeft)
}
