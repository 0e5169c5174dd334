package e2e

import (
	"fmt"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// refuseAndAcceptGap requires that `run` and `status` refuse with 18 and name the positions, that
// `accept` names them and changes nothing without --yes, and that after `accept --yes` the
// projector, which it returns, continues.
func (s *system) refuseAndAcceptGap(t *testing.T, running *process, positions string) (goesOn *process) {
	t.Helper()
	if running == nil {
		running = s.startProjector(t)
	}
	running.mustExit(t, 18)
	documents := s.documents(t)
	for _, command := range []string{"status", "run"} {
		out := s.mustRun(t, 18, "messages are missing that nobody removed", command)
		checkContains(t, out, "at positions "+positions, "still served", "restore", "projector rebuild", "projector accept")
	}
	s.mustRun(t, 1, "at positions "+positions, "accept")
	if s.documents(t) != documents {
		t.Error("documents were touched")
	}
	s.mustRun(t, 0, "goes on without them", "accept", "--yes")
	s.mustRun(t, 0, "nothing to accept", "accept")
	running = s.startProjector(t)
	s.mustPublish(t, workload.New(77, workload.Config{Accounts: 5}), 50)
	s.waitProjected(t)
	s.mustRun(t, 0, "", "status")
	return running
}

// TestPurgeByHandIsRefusedOnce: folded messages that somebody purged are noticed while `run` is at
// work and at its start, before and after a restart of the server.
func TestPurgeByHandIsRefusedOnce(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	before := served()
	s.purge(t, 101)
	projector = s.refuseAndAcceptGap(t, projector, "1–100")
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	projector.stop(t)
	for _, position := range []uint64{150, 151, 153} {
		s.deleteMessage(t, position)
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.refuseAndAcceptGap(t, nil, "150–151, 153")
	s.mustRun(t, 1, "account "+someone, "verify", "--all")
}

// TestErasuresAreNoGaps: accounts are erased while `run` watches, several at once, and the erasures
// are killed at many moments. None is refused, and in the end exactly the missing messages are
// explained. A message that is deleted by hand beside them is refused.
func TestErasuresAreNoGaps(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	accounts := []string{someone, another}
	rounds := 2
	if testrun.Long() {
		rounds = 40
	}
	for i := range rounds {
		for _, account := range accounts {
			s.publishMarked(t, account, 30)
			s.publishStray(t, account)
		}
		s.waitProjected(t)
		var all []*process
		for _, account := range append(accounts, accounts...) {
			all = append(all, launch(t, "projector", s.settings, "erase", "--account", account))
		}
		for j, p := range all {
			if i%2 == 0 {
				time.Sleep(time.Duration(20*i+10*j) * time.Millisecond)
				p.kill()
			} else if status := p.wait(); status != 0 {
				t.Errorf("erase: exit %d: %s", status, p.out.tail(1<<16))
			}
			s.checkExplained(t)
		}
	}
	for _, account := range accounts {
		s.erase(t, account, 0, nothingLeft)
		s.checkErased(t, account)
	}
	s.checkNoTraces(t)

	// An erasure that is killed after it has recorded what it will remove explains
	// nothing else.
	s.publishMarked(t, another, 5)
	var noted []uint64
	err := s.client.ReadAccount(t.Context(), uuid(t, another), 0, func(m projections.Message) error {
		noted = append(noted, m.Position)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.publishAndWait(t)
	info, err := s.client.Info(t.Context())
	if err == nil {
		err = admin.RecordRemovals(t.Context(), s.pool, info, noted[1:])
	}
	if err != nil {
		t.Fatal(err)
	}
	s.mustRun(t, 0, "", "status")
	lost := info.Last - 3
	s.deleteMessage(t, lost)
	s.refuseAndAcceptGap(t, projector, fmt.Sprint(lost))
	// `accept` has completed the erasure, since it removes the recorded messages.
	if explained, missing := s.checkExplained(t); explained != missing {
		t.Errorf("%d messages are missing, and %d are explained", missing, explained)
	}
	s.erase(t, another, 0, nothingLeft)
	s.checkNoGap(t)
	s.mustRun(t, 0, "is live", "rebuild", "--accept-differences")
	s.publishAndWait(t)
	s.checkNoGap(t)
}

// TestMissingIsTakenOn: when nothing is known of missing messages, as right after a migration,
// those that are missing are recorded and not refused, whether `run` or an erasure looks first.
// Before the migration both refuse and name `projector provision`.
func TestMissingIsTakenOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 5)
	s.publishMarked(t, another, 5)
	s.waitProjected(t)
	s.erase(t, someone, 0, nothingLeft)
	forget := func() {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), `TRUNCATE export.missing, export.removals`); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	s.erase(t, another, 0, nothingLeft)
	s.checkNoGap(t)
	projector.stop(t)
	forget()
	s.mustRun(t, 0, "", "status")
	projector = s.startProjector(t)
	s.publishAndWait(t)
	s.checkNoGap(t)
	s.mustRun(t, 0, "nothing to accept", "accept")

	if _, err := s.pool.Exec(t.Context(), `ALTER TABLE export.missing RENAME TO of_a_later_schema`); err != nil {
		t.Fatal(err)
	}
	s.publishMarked(t, another, 1)
	s.waitProjected(t)
	before := s.info(t)
	s.erase(t, another, 1, "`projector provision` brings it up to date")
	s.checkStreamUnchanged(t, before)
	projector.stop(t)
	s.mustRun(t, 1, "`projector provision` brings it up to date", "run")
}

// TestPromotedMirrorIsTakenOn: a mirror has the positions of its origin, and lacks the same
// messages. Once it is accepted in the stream's place, their absence is explained there, and an
// erasure in it is no gap.
func TestPromotedMirrorIsTakenOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, another, 5)
	s.publishMarked(t, someone, 5)
	s.publishAndWait(t)
	s.erase(t, someone, 0, nothingLeft)
	s.createMirror(t, "PROMOTED")
	projector.stop(t)
	s.promote(t, "PROMOTED")
	s.mustRun(t, 11, "this is another stream", "run")
	s.mustRun(t, 0, "goes on with stream PROMOTED", "accept", "--yes")
	s.checkNoGap(t)
	s.startProjector(t)
	s.publishAndWait(t)
	s.erase(t, another, 0, nothingLeft)
	s.checkErased(t, another)
	s.mustRun(t, 0, "", "status")
	s.mustRun(t, 0, "nothing to accept", "accept")
}
