package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestEmptyStreamTakesNobodyWithIt: the stream is deleted. An operator who follows every refusal to
// the letter is told how many accounts an empty stream would cost, has to confirm that twice, and
// until then everybody is served.
func TestEmptyStreamTakesNobodyWithIt(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	before := served()
	var accounts int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export_g1.account_export`).Scan(&accounts); err != nil {
		t.Fatal(err)
	}
	projector.stop(t)
	deleteStream(t, s.nats.URL())
	s.mustRun(t, 1, "A stream that was lost is restored from its backup", "provision")
	s.mustRun(t, 0, "created", "provision", "--new-stream")
	s.mustRun(t, 12, "`projector accept`", "run")
	s.mustRun(t, 12, "`projector rebuild --accept-differences`", "accept", "--yes")
	for range 2 {
		s.mustRun(t, 1, fmt.Sprintf("all %d would answer 404", accounts), "rebuild", "--accept-differences")
	}
	out := s.mustRun(t, 1, "`projector rebuild --accept-differences`", "rebuild")
	if !strings.Contains(out, fmt.Sprintf("%d of %d accounts will answer 404", accounts, accounts)) {
		t.Errorf("what it costs is not said: %s", out)
	}
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	s.mustRun(t, 0, "is live", "rebuild", "--accept-differences", "--yes")
	s.startProjector(t)
	s.publishComplete(t, uuid(t, someone))
	s.waitProjected(t)
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
}
