package e2e

import (
	"testing"

	"accountexport/internal/workload"
)

// TestSkippedMessageIsToldByEveryRun: the server skips a message that the live generation has not
// folded. The rebuild that meets it refuses, and so do the one that goes on from there and a
// cut-over, which do not meet it any more, until that is accepted.
func TestSkippedMessageIsToldByEveryRun(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.mustPublish(t, workload.New(91, workload.Config{Accounts: 20}), 200)
	projector := s.startProjector(t)
	s.waitProjected(t)
	projector.stop(t)
	s.publishTexts(t, "flip-me", 1)
	s.mustPublish(t, workload.New(92, workload.Config{Accounts: 20}), 200)
	s.flipBit(t, "CONTROL_PLANE", "flip-me-0")
	const told = "counts 1 messages as there that its server cannot give, at positions 201."
	for _, command := range []string{"rebuild", "rebuild", "cutover"} {
		checkContains(t, s.mustRun(t, 1, told, command), "nothing was cut over", "what they have lost is not known")
	}
	s.mustRun(t, 0, "generation 2 is live", "cutover", "--accept-differences")
}
