package e2e

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/workload"
)

// TestReplacedEndIsRefusedAtStart: a stream that lost its end, and has grown
// beyond the checkpoint again while no projector ran, is refused at start, and by
// `status` and `accept`; a rebuild that is told to accept differences is the way
// out, as the refusal says.
func TestReplacedEndIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	s, before := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	documents := s.loseTheEndOnce(t, func() {
		projector.signal(syscall.SIGTERM)
		projector.wait()
	})
	served := before()
	eventually(t, "more than was lost to be published", time.Minute, func(ctx context.Context) error {
		return s.publish(ctx, workload.New(55, workload.Config{Accounts: 5}), 300, 0)
	})
	for _, args := range [][]string{{"run"}, {"status"}, {"accept", "--yes"}, {"run"}} {
		out, status := command(t, "projector", s.settings, args...)
		for _, want := range []string{"another message than the one that was folded", "still served", "restore", "projector rebuild --accept-differences"} {
			if status != 16 || !strings.Contains(out, want) {
				t.Errorf("%v: exit %d, want 16 and %q: %s", args, status, want, out)
			}
		}
	}
	if s.documents(t) != documents || before() != served {
		t.Error("documents were touched")
	}
	if out, status := command(t, "projector", s.settings, "rebuild", "--accept-differences"); status != 0 {
		t.Fatalf("rebuild: exit %d: %s", status, out)
	}
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.verify(t)
}

// TestProvisionMakesNoNewStream: where the database holds checkpoints and there
// is no stream of the name, none is made, and it is said what to look at; told
// so, an empty one is made, which `run` refuses.
func TestProvisionMakesNoNewStream(t *testing.T) {
	t.Parallel()
	s, served := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before := served()
	projector.signal(syscall.SIGTERM)
	projector.wait()
	refused := func(name string) {
		t.Helper()
		s.settings["STREAM"] = name
		out, status := command(t, "projector", s.settings, "provision")
		for _, want := range []string{"there is no stream " + name + " here", "checkpoints of stream CONTROL_PLANE", "STREAM", "NATS_URL",
			"domain", "DATABASE_URL", "provision --new-stream"} {
			if status != 1 || !strings.Contains(out, want) {
				t.Errorf("exit %d, want 1 and %q: %s", status, want, out)
			}
		}
		if _, err := jetStream(t, s.nats.URL()).Stream(t.Context(), name); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("a stream %s was made: %v", name, err)
		}
	}
	refused("CONTROL_PLANT")
	deleteStream(t, s.nats.URL())
	refused("CONTROL_PLANE")
	if out, status := command(t, "projector", s.settings, "provision", "--new-stream"); status != 0 || !strings.Contains(out, "created") {
		t.Fatalf("exit %d: %s", status, out)
	}
	if out, status := command(t, "projector", s.settings, "run"); status != 12 || !strings.Contains(out, "its id is") {
		t.Errorf("run: exit %d: %s", status, out)
	}
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
}

// TestStreamKnowsWhoItIs: the database keeps the id of the stream; one that has
// lost it is told by name and time, with a warning that `provision` ends by
// giving it back; one with another id is refused.
func TestStreamKnowsWhoItIs(t *testing.T) {
	t.Parallel()
	s, _ := newWithSomeone(t)
	id := func() string {
		t.Helper()
		info, err := s.client.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.ID
	}
	own := id()
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	var kept string
	if err := s.pool.QueryRow(t.Context(), `SELECT stream_id FROM export.generations`).Scan(&kept); err != nil || kept != own || own == "" {
		t.Fatalf("the stream is %q, and the generation has %q: %v", own, kept, err)
	}
	s.edit(t, func(c *jetstream.StreamConfig) { c.Metadata = nil })
	const warning = "the stream's id is missing"
	if out, status := command(t, "projector", s.settings, "status"); status != 0 || !strings.Contains(out, warning) || !strings.Contains(out, "projector provision") {
		t.Errorf("status: exit %d: %s", status, out)
	}
	eventually(t, "the warning", 20*time.Second, func(context.Context) error {
		if !strings.Contains(projector.out.tail(1<<20), "what=id") {
			return errors.New("there is none")
		}
		return nil
	})
	if out, status := command(t, "projector", s.settings, "provision"); status != 0 || id() != own {
		t.Fatalf("provision: exit %d, the id is %q, and was %q: %s", status, id(), own, out)
	}
	if out, status := command(t, "projector", s.settings, "status"); status != 0 || strings.Contains(out, warning) {
		t.Errorf("status: exit %d: %s", status, out)
	}
	s.edit(t, func(c *jetstream.StreamConfig) { c.Metadata = map[string]string{"accountexport-id": "another"} })
	if status := projector.wait(); status != 11 || !strings.Contains(projector.out.tail(1<<16), "its id is another, and was "+own) {
		t.Errorf("exit %d: %s", status, projector.out.tail(1<<16))
	}
	s.edit(t, func(c *jetstream.StreamConfig) { c.Metadata = nil })
	if out, status := command(t, "projector", s.settings, "provision"); status != 0 {
		t.Fatalf("provision: exit %d: %s", status, out)
	}
	launch(t, "projector", s.settings, "run")
	if err := s.publish(t.Context(), workload.New(64, workload.Config{Accounts: 5}), 100, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.verify(t)
}

// TestDifferingPositionsAreNamed: a copy of the stream whose accounts would go
// back, or be lost, is not accepted, whatever id it has, and those accounts are
// named.
func TestDifferingPositionsAreNamed(t *testing.T) {
	t.Parallel()
	s, _ := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	own, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	recreate(t, s.nats.URL())
	s.edit(t, func(c *jetstream.StreamConfig) { c.Metadata = map[string]string{"accountexport-id": own.ID} })
	if status := projector.wait(); status != 12 {
		t.Fatalf("exit %d", status)
	}
	// Other messages, at least as many.
	if err := s.publish(t.Context(), workload.New(65, workload.Config{Accounts: 3}), int(own.Last), 0); err != nil {
		t.Fatal(err)
	}
	// Where the last messages are not known, as after an older program.
	if _, err := s.pool.Exec(t.Context(), `UPDATE export.checkpoints SET last_position = NULL, last_at = NULL, last_digest = NULL`); err != nil {
		t.Fatal(err)
	}
	out, status := command(t, "projector", s.settings, "accept", "--yes")
	for _, want := range []string{"account " + someone, "would be lost", "never heard of", "projector rebuild --accept-differences", "claims to be that one"} {
		if status != 12 || !strings.Contains(out, want) {
			t.Errorf("exit %d, want 12 and %q: %s", status, want, out)
		}
	}
}
