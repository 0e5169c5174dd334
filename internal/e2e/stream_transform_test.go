package e2e

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// TestTransformThatWasNeverThere: a stream without its subject transform, of which nothing was
// folded yet, is refused without retries.
func TestTransformThatWasNeverThere(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.publishMarked(t, someone, 3)
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.SubjectTransform = nil })
	s.mustRun(t, 15, "it has no subject transform", "run")
	s.mustRun(t, 1, "it has no subject transform", "provision")
}

// TestMirrorIsNotFollowed: a mirror, which has no subject transform, is refused with what can be
// done about it.
func TestMirrorIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.publishMarked(t, someone, 3)
	s.createMirror(t, "MIRROR")
	s.settings["STREAM"] = "MIRROR"
	if out := s.mustRun(t, 15, "stream MIRROR is a mirror of stream CONTROL_PLANE", "run"); !strings.Contains(out, "set STREAM to CONTROL_PLANE") {
		t.Errorf("it says %s", out)
	}
	s.mustRun(t, 1, "mirror is set, want none", "provision")
}
