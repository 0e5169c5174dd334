package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/workload"
)

// TestReplacedEndIsRefusedAtStart: a stream that lost its end, and grew beyond the checkpoint again
// while no projector ran, is refused by `run`, `status` and `accept`. The way out is the rebuild
// that the refusal names.
func TestReplacedEndIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	s, before := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	documents := s.loseTheEndAfter(t, func() {
		projector.stop(t)
	})
	served := before()
	eventually(t, "more than was lost to be published", time.Minute, func(ctx context.Context) error {
		return s.publish(ctx, workload.New(55, workload.Config{Accounts: 5}), 300, 0)
	})
	for _, args := range [][]string{{"run"}, {"status"}, {"accept", "--yes"}, {"run"}} {
		out := s.checkRun(t, 16, "another message than the one that was folded", args...)
		checkContains(t, out, "still served", "restore", "projector rebuild --accept-differences")
	}
	if s.documents(t) != documents || before() != served {
		t.Error("documents were touched")
	}
	s.mustRun(t, 0, "", "rebuild", "--accept-differences")
	s.startProjector(t)
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}

// TestProvisionMakesNoNewStream: when the database has checkpoints and there is no stream with that
// name, `provision` creates none and says what to check. With --new-stream it creates an empty one,
// which `run` refuses.
func TestProvisionMakesNoNewStream(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	before := served()
	projector.stop(t)
	checkRefused := func(name string) {
		t.Helper()
		s.settings["STREAM"] = name
		out := s.checkRun(t, 1, "there is no stream "+name+" here", "provision")
		checkContains(t, out, "checkpoints of stream CONTROL_PLANE", "STREAM", "NATS_URL", "domain", "DATABASE_URL", "provision --new-stream")
		if _, err := jetStream(t, s.nats.URL()).Stream(t.Context(), name); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("a stream %s was made: %v", name, err)
		}
	}
	checkRefused("CONTROL_PLANT")
	deleteStream(t, s.nats.URL())
	checkRefused("CONTROL_PLANE")
	s.mustRun(t, 0, "created", "provision", "--new-stream")
	s.checkRun(t, 12, "its id is", "run")
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
}

// TestStreamKnowsWhoItIs: the database records the stream's id. A stream that has lost its id is
// recognised by name and time, with a warning until `provision` restores it. A stream with another
// id is checkRefused.
func TestStreamKnowsWhoItIs(t *testing.T) {
	t.Parallel()
	s, _ := newSystemWithAPI(t)
	id := func() string {
		t.Helper()
		info := s.info(t)
		return info.ID
	}
	own := id()
	projector := s.startProjector(t)
	s.waitProjected(t)
	var kept string
	if err := s.pool.QueryRow(t.Context(), `SELECT stream_id FROM export.generations`).Scan(&kept); err != nil || kept != own || own == "" {
		t.Fatalf("the stream is %q, and the generation has %q: %v", own, kept, err)
	}
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.Metadata = nil })
	const warning = "the stream's id is missing"
	if out, status := command(t, "projector", s.settings, "status"); status != 0 || !strings.Contains(out, warning) || !strings.Contains(out, "projector provision") {
		t.Errorf("status: exit %d: %s", status, out)
	}
	eventually(t, "the warning", 20*time.Second, hasPrinted(projector, "what=id"))
	if out, status := command(t, "projector", s.settings, "provision"); status != 0 || id() != own {
		t.Fatalf("provision: exit %d, the id is %q, and was %q: %s", status, id(), own, out)
	}
	if out, status := command(t, "projector", s.settings, "status"); status != 0 || strings.Contains(out, warning) {
		t.Errorf("status: exit %d: %s", status, out)
	}
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.Metadata = map[string]string{"accountexport-id": "another"} })
	if status := projector.wait(); status != 11 || !strings.Contains(projector.out.tail(1<<16), "its id is another, and was "+own) {
		t.Errorf("exit %d: %s", status, projector.out.tail(1<<16))
	}
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.Metadata = nil })
	s.mustRun(t, 0, "", "provision")
	s.startProjector(t)
	s.mustPublish(t, workload.New(64, workload.Config{Accounts: 5}), 100)
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}

// TestDifferingPositionsAreNamed: a copy of the stream in which accounts would go back, or be lost,
// is not accepted, whatever its id, and those accounts are named.
func TestDifferingPositionsAreNamed(t *testing.T) {
	t.Parallel()
	s, _ := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	own := s.info(t)
	recreateStream(t, s.nats.URL())
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.Metadata = map[string]string{"accountexport-id": own.ID} })
	projector.mustExit(t, 12)
	// At least as many other messages.
	s.mustPublish(t, workload.New(65, workload.Config{Accounts: 3}), int(own.Last))
	// An earlier program did not record the last messages.
	if _, err := s.pool.Exec(t.Context(), `UPDATE export.checkpoints SET last_position = NULL, last_at = NULL, last_digest = NULL`); err != nil {
		t.Fatal(err)
	}
	out := s.checkRun(t, 12, "account "+someone, "accept", "--yes")
	checkContains(t, out, "would be lost", "never heard of", "projector rebuild --accept-differences", "claims to be that one")
}
