package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// refused is a way in which a stream changes while the projector runs, and how the projector
// refuses it.
type refused struct {
	name   string
	damage func(s *system, t *testing.T) (documents string) // the documents before the damage
	status int
	says   []string
}

// refusedCases are those that need no other settings.
func refusedCases() []refused {
	return []refused{
		{"recreated", func(s *system, t *testing.T) string {
			documents := s.documents(t)
			recreateStream(t, s.nats.URL())
			return documents
		}, 12, []string{"the stream was recreated"}},
		{"recreated while NATS was away", func(s *system, t *testing.T) string {
			s.whileUnreachable(t, func(url string) { recreateStream(t, url) })
			return s.documents(t)
		}, 12, []string{"the stream was recreated"}},
		{"ends before the checkpoint", (*system).loseTheEnd, 13, []string{"the stream ends before the checkpoint"}},
		{"begins after the checkpoint", (*system).loseTheMiddle, 14, []string{"the stream begins after the checkpoint", "projector accept"}},
		{"another number of partitions", func(s *system, t *testing.T) string {
			s.repartition(t, 8)
			return s.documents(t)
		}, 15,
			[]string{"the stream has another number of partitions", "has 8", "with 16"}},
	}
}

// TestRefusals: for each way in which a stream can have lost what was folded, the projector exits
// with a status of its own, while running and at start, and names the ways out. The API serves the
// same bytes as before.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range refusedCases() {
		t.Run(c.name, func(t *testing.T) {
			s, before := newSystemWithAPI(t)
			projector := s.startProjector(t)
			s.waitProjected(t)
			served := before()
			documents := c.damage(s, t)
			for _, when := range []string{"while running", "at start"} {
				if when == "at start" {
					projector = s.startProjector(t)
				}
				status, out := projector.wait(), projector.out.tail(1<<16)
				if status != c.status {
					t.Fatalf("%s: exit %d, want %d: %s", when, status, c.status, out)
				}
				checkContains(t, out, append(c.says, "still served", "restore", "projector rebuild", "accept")...)
				s.checkRun(t, c.status, c.says[0], "status")
				s.checkStatusConsistent(t, c.status)
				if now := s.documents(t); now != documents {
					t.Errorf("%s: documents were touched", when)
				}
				if now := before(); now != served {
					t.Errorf("%s: served is %s, and was %s", when, now, served)
				}
			}
		})
	}
	t.Run("another stream", func(t *testing.T) {
		s, before := newSystemWithAPI(t)
		projector := s.startProjector(t)
		s.waitProjected(t)
		served := before()
		projector.stop(t)
		deleteStream(t, s.nats.URL())
		s.settings["STREAM"] = "OTHER"
		s.mustRun(t, 0, "", "provision", "--new-stream")
		s.checkRun(t, 11, "this is another stream: it is OTHER, and the documents were folded from CONTROL_PLANE", "run")
		s.checkStatusConsistent(t, 11)
		if now := before(); now != served {
			t.Errorf("served is %s, and was %s", now, served)
		}
	})
}

// checkStatusConsistent: `status --json` of a stream that is refused exits with the same status,
// and prints no position beyond the stream's end.
func (s *system) checkStatusConsistent(t *testing.T, want int) {
	t.Helper()
	out, status := command(t, "projector", s.settings, "status", "--json")
	l, err := parseStatus(out)
	if err != nil || status != want || l.checkConsistent() != nil {
		t.Errorf("status --json: exit %d, want %d; %v, %v: %s", status, want, err, l.checkConsistent(), out)
	}
	if unlike := want == 11 || want == 12 || want == 13 || want == 16; unlike != (l.StreamEnd == nil) {
		t.Errorf("status --json: the end of a stream that is refused with %d: %s", want, out)
	}
}

// TestBeginningMovesOn: a stream that begins late because its first account was erased has lost
// nothing, however long the projector has run, nor has a stream whose beginning was gone before it
// was first projected.
func TestBeginningMovesOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.publishMarked(t, another, 20)
	s.mustPublish(t, workload.New(52, workload.Config{Accounts: 5}), 30)
	s.purge(t, 11)
	projector := s.startProjector(t)
	s.waitProjected(t)
	s.erase(t, another, 0, nothingLeft)
	info, err := s.client.Info(t.Context())
	if err != nil || info.First != 21 {
		t.Fatalf("the stream begins at %d, %v", info.First, err)
	}
	if err := s.publish(t.Context(), workload.New(53, workload.Config{Accounts: 5}), 300, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)
	s.mustRun(t, 0, "", "status")
	projector.stop(t)
}

// TestReplacedEndIsRefused: a stream that lost its end, and grew beyond the checkpoint again before
// the projector looked, is refused with 16.
func TestReplacedEndIsRefused(t *testing.T) {
	t.Parallel()
	s, before := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	documents := s.loseTheEndAfter(t, func() { projector.signal(syscall.SIGSTOP) })
	served := before()
	eventually(t, "more than was lost to be published", time.Minute, func(ctx context.Context) error {
		return s.publish(ctx, workload.New(55, workload.Config{Accounts: 5}), 300, 0)
	})
	projector.signal(syscall.SIGCONT)
	projector.mustExit(t, 16)
	checkContains(t, projector.out.tail(1<<16), "still served", "restore", "projector rebuild", "accept")
	s.checkStatusConsistent(t, 16)
	if s.documents(t) != documents || before() != served {
		t.Error("documents were touched")
	}
}
