package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
	"accountexport/projections/engine"
)

// TestRemovedBlockIsRefusedOnce: one of the stream's files is removed while the server is down or,
// in another case, runs. The loss is refused until it is accepted, and not again.
func TestRemovedBlockIsRefusedOnce(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"first", "middle", "middle, of a server that runs"} {
		if which == "first" && !testrun.Long() {
			continue
		}
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.settings["AUDIT_RATE"] = "0"
			projector := s.startProjector(t)
			s.publishMarked(t, someone, 5)
			s.publishPadding(t, 20)
			s.publishMarked(t, someone, 5)
			s.waitProjected(t)
			file := "2.blk"
			if which == "first" {
				file = "1.blk"
			}
			remove := func() error { return os.Remove(s.streamFiles(t, "CONTROL_PLANE", file)[0]) }
			if !strings.HasSuffix(which, "runs") {
				s.whileNATSIsDown(t, remove)
			} else {
				s.restartNATS(t)
				if err := remove(); err != nil {
					t.Fatal(err)
				}
			}
			var gone engine.Ranges
			eventually(t, "the server to notice", time.Minute, func(ctx context.Context) (err error) {
				_, _ = s.client.Get(ctx, 16) // it notices when it is asked for one of them
				if _, gone, err = s.client.Deleted(ctx); err == nil && len(gone) == 0 {
					err = errors.New("it has not")
				}
				return err
			})
			projector = s.refuseAndAcceptGap(t, projector, gone.String())
			if err := s.nats.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.publishAndWait(t)
			s.checkNoGap(t)
			s.mustRun(t, 0, "nothing to accept", "accept")
			projector.stop(t)
			s.mustRun(t, 1, another, "verify", "--all")
		})
	}
}

// TestFlippedBitIsRefusedOnce: a bit of a message flips before the message was read, so that the
// server counts it and does not deliver it. It is refused, before and after a restart of the
// server, and skipped once that is accepted.
func TestFlippedBitIsRefusedOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishAndWait(t)
	projector.stop(t)

	first := s.publishTexts(t, "flip-a", 6)
	s.flipBit(t, "CONTROL_PLANE", "flip-a-2")
	s.flipBit(t, "CONTROL_PLANE", "flip-a-4")
	projector = s.refuseAndAcceptGap(t, nil, fmt.Sprint(first+2)) // one refusal for both
	projector.stop(t)

	if testrun.Long() {
		first = s.publishTexts(t, "flip-b", 4)
		s.flipBit(t, "CONTROL_PLANE", "flip-b-3")
		projector = s.refuseAndAcceptGap(t, nil, fmt.Sprint(first+3))
		projector.stop(t)
	}

	// The same on a running server.
	first = s.publishTexts(t, "flip-c", 4)
	s.publishPadding(t, 10)
	s.restartNATS(t)
	s.flipBitWhileRunning(t, "CONTROL_PLANE", "flip-c-1")
	projector = s.refuseAndAcceptGap(t, nil, fmt.Sprint(first+1))
	s.restartNATS(t) // a killed server discards the rest of a file after the damage
	s.publishAndWait(t)
	s.mustRun(t, 0, "", "status")
	s.mustRun(t, 0, "nothing to accept", "accept")
	projector.stop(t)
	projector = s.startProjector(t)
	s.publishAndWait(t)
	projector.stop(t)
	s.mustRun(t, 0, "is live", "rebuild")
	s.mustRun(t, 0, "", "status")
}

// TestRebuildReportsWhatIsLost: a folded message is deleted by hand, and a bit of another flips. A
// rebuild names both, and does not cut over because its documents differ. Once that is accepted,
// the new generation goes live and nothing is refused any more.
func TestRebuildReportsWhatIsLost(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	first := s.publishTexts(t, "flip-a", 3)
	s.publishAndWait(t)
	s.flipBit(t, "CONTROL_PLANE", "flip-a-1")
	s.deleteMessage(t, 4)
	projector.mustExit(t, 18)
	out := s.mustRun(t, 1, "the generations differ", "rebuild")
	checkContains(t, out, "has lost 1 messages that no erasure removed, at positions 4.",
		fmt.Sprintf("cannot give, at positions %d.", first+1), "account "+someone, "account "+another)
	s.mustRun(t, 18, "at positions 4:", "status")
	s.mustRun(t, 0, "is live", "rebuild", "--restart", "--accept-differences")
	s.startProjector(t)
	s.publishAndWait(t)
	s.mustRun(t, 0, "", "status")
	s.mustRun(t, 0, "nothing to accept", "accept")
	s.checkNoGap(t)
	s.mustRun(t, 0, " 0 of them differ", "rebuild")
}
