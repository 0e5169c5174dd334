package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEmptyStreamTakesNobodyWithIt: the stream is deleted, and whoever follows
// what is printed to the letter, again and again, is told how many people an
// empty one would cost before it does, and needs to say so twice; until then
// everybody is served.
func TestEmptyStreamTakesNobodyWithIt(t *testing.T) {
	t.Parallel()
	s, served := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before := served()
	var accounts int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export_g1.account_export`).Scan(&accounts); err != nil {
		t.Fatal(err)
	}
	projector.signal(syscall.SIGTERM)
	projector.wait()
	deleteStream(t, s.nats.URL())
	s.says(t, 1, "A stream that was lost is restored from its backup", "provision")
	s.says(t, 0, "created", "provision", "--new-stream")
	s.says(t, 12, "`projector accept`", "run")
	s.says(t, 12, "`projector rebuild --accept-differences`", "accept", "--yes")
	for range 2 {
		s.says(t, 1, fmt.Sprintf("all %d would answer 404", accounts), "rebuild", "--accept-differences")
	}
	out := s.says(t, 1, "`projector rebuild --accept-differences`", "rebuild")
	if !strings.Contains(out, fmt.Sprintf("%d of %d accounts will answer 404", accounts, accounts)) {
		t.Errorf("what it costs is not said: %s", out)
	}
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	s.says(t, 0, "is live", "rebuild", "--accept-differences", "--yes")
	launch(t, "projector", s.settings, "run")
	s.makeSomeone(t, uuid(t, someone))
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, " 0 differ", "verify", "--all")
}
