package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// remove removes messages as an erasure does: they are noted before.
func (s *system) remove(t *testing.T, positions ...uint64) {
	t.Helper()
	info, err := s.client.Info(t.Context())
	if err == nil {
		err = admin.RecordRemovals(t.Context(), s.pool, info, positions)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, position := range positions {
		if gone, err := s.client.DeleteMessage(t.Context(), position); err != nil || !gone {
			t.Fatalf("remove message %d: %v, %v", position, gone, err)
		}
	}
}

// refusesTheGap: `run`, which may be at it, and `status` end with 18 and name
// the positions; `accept` says so, too, and changes nothing unless told; then
// `run` goes on, and nothing more is said.
func (s *system) refusesTheGap(t *testing.T, running *process, positions string) (goesOn *process) {
	t.Helper()
	if running == nil {
		running = launch(t, "projector", s.settings, "run")
	}
	if status, out := running.wait(), running.out.tail(1<<16); status != 18 {
		t.Fatalf("run: exit %d, want 18: %s", status, out)
	}
	documents := s.documents(t)
	for _, command := range []string{"status", "run"} {
		out := s.says(t, 18, "messages are missing that nobody removed", command)
		for _, want := range []string{"at positions " + positions, "still served", "restore", "projector rebuild", "projector accept"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not said: %s", command, want, out)
			}
		}
	}
	s.says(t, 1, "at positions "+positions, "accept")
	if s.documents(t) != documents {
		t.Error("documents were touched")
	}
	s.says(t, 0, "goes on without them", "accept", "--yes")
	s.says(t, 0, "nothing to accept", "accept")
	running = launch(t, "projector", s.settings, "run")
	if err := s.publish(t.Context(), workload.New(77, workload.Config{Accounts: 5}), 50, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "", "status")
	return running
}

// TestPurgeByHandIsRefusedOnce: messages that somebody purged, folded ones, are
// missed while `run` is at it and at its start, before and after a restart of
// the server.
func TestPurgeByHandIsRefusedOnce(t *testing.T) {
	t.Parallel()
	s, served := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before := served()
	js := jetStream(t, s.nats.URL())
	purge(t, js, 101)
	projector = s.refusesTheGap(t, projector, "1–100")
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	projector.signal(syscall.SIGTERM)
	projector.wait()
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	for _, position := range []uint64{150, 151, 153} {
		if err := st.DeleteMsg(t.Context(), position); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.refusesTheGap(t, nil, "150–151, 153")
	s.says(t, 1, "account "+someone, "verify", "--all")
}

// explained requires that no more is missing than is explained, and tells both.
func (s *system) explained(t *testing.T) (explained, missing uint64) {
	t.Helper()
	info, err := s.client.Info(t.Context()) // first: what is gone by now was noted by now
	if err != nil {
		t.Fatal(err)
	}
	m, err := admin.FindMissing(t.Context(), s.pool, info)
	if err != nil {
		t.Fatal(err)
	}
	if m.Explained < info.Missing() {
		t.Errorf("%d messages are missing, and %d are explained", info.Missing(), m.Explained)
	}
	return m.Explained, info.Missing()
}

// noGap requires that exactly what is missing is explained, and that nobody says
// otherwise.
func (s *system) noGap(t *testing.T) {
	t.Helper()
	if explained, missing := s.explained(t); explained != missing {
		t.Errorf("%d messages are missing, and %d are explained", missing, explained)
	}
	if out, status := command(t, "projector", s.settings, "status"); status == 18 {
		t.Errorf("status: %s", out)
	}
}

// TestErasuresAreNoGaps: while `run` looks, accounts are erased, several at
// once, and killed at many moments; nothing is refused, and in the end exactly
// what is missing is explained. What is purged by hand beside them is refused
// all the same.
func TestErasuresAreNoGaps(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	accounts := []string{someone, another}
	rounds := 2
	if testrun.Long() {
		rounds = 40
	}
	for i := range rounds {
		for _, account := range accounts {
			s.marked(t, account, 30)
			s.stray(t, account)
		}
		eventually(t, "everything projected", time.Minute, s.caughtUp)
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
			s.explained(t)
		}
	}
	for _, account := range accounts {
		s.erase(t, account, 0, nothingLeft)
		s.mustBeErased(t, account)
	}
	s.noTraces(t)

	// An erasure that is killed once it has noted what it removes hides nothing
	// but that.
	s.marked(t, another, 5)
	var noted []uint64
	err := s.client.ReadAccount(t.Context(), uuid(t, another), 0, func(m projections.Message) error {
		noted = append(noted, m.Position)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.publishSome(t)
	info, err := s.client.Info(t.Context())
	if err == nil {
		err = admin.RecordRemovals(t.Context(), s.pool, info, noted[1:])
	}
	if err != nil {
		t.Fatal(err)
	}
	s.says(t, 0, "", "status")
	lost := info.Last - 3
	st, err := jetStream(t, s.nats.URL()).Stream(t.Context(), "CONTROL_PLANE")
	if err == nil {
		err = st.DeleteMsg(t.Context(), lost)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.refusesTheGap(t, projector, fmt.Sprint(lost))
	// Accepting has finished it, as it finds messages that were to be removed.
	if explained, missing := s.explained(t); explained != missing {
		t.Errorf("%d messages are missing, and %d are explained", missing, explained)
	}
	s.erase(t, another, 0, nothingLeft)
	s.noGap(t)
	s.says(t, 0, "is live", "rebuild", "--accept-differences")
	s.publishSome(t)
	s.noGap(t)
}

// TestMissingIsTakenOn: what is missing when nothing is known of a stream yet,
// as right after a migration, is not refused, whether `run` or an erasure looks
// first; without the migration both say what is to be done, before anything is.
func TestMissingIsTakenOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 5)
	s.marked(t, another, 5)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, someone, 0, nothingLeft)
	forget := func() {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), `TRUNCATE export.missing, export.removals`); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	s.erase(t, another, 0, nothingLeft)
	s.noGap(t)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	forget()
	s.says(t, 0, "", "status")
	projector = launch(t, "projector", s.settings, "run")
	s.publishSome(t)
	s.noGap(t)
	s.says(t, 0, "nothing to accept", "accept")

	if _, err := s.pool.Exec(t.Context(), `ALTER TABLE export.missing RENAME TO of_a_later_schema`); err != nil {
		t.Fatal(err)
	}
	s.marked(t, another, 1)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.erase(t, another, 1, "`projector provision` brings it up to date")
	if now, err := s.client.Info(t.Context()); err != nil || now.Last != before.Last || now.Messages != before.Messages {
		t.Errorf("something was done: %+v, %v", now, err)
	}
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.says(t, 1, "`projector provision` brings it up to date", "run")
}

// TestPromotedMirrorIsTakenOn: a mirror keeps positions, so it is missing what
// its origin was; once it is accepted in its place, that is known of it, too,
// and an erasure in it is no gap.
func TestPromotedMirrorIsTakenOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, another, 5)
	s.marked(t, someone, 5)
	s.publishSome(t)
	s.erase(t, someone, 0, nothingLeft)
	s.mirrored(t, "PROMOTED")
	projector.signal(syscall.SIGTERM)
	projector.wait()
	s.promote(t, "PROMOTED")
	s.says(t, 11, "this is another stream", "run")
	s.says(t, 0, "goes on with stream PROMOTED", "accept", "--yes")
	s.noGap(t)
	launch(t, "projector", s.settings, "run")
	s.publishSome(t)
	s.erase(t, another, 0, nothingLeft)
	s.mustBeErased(t, another)
	s.says(t, 0, "", "status")
	s.says(t, 0, "nothing to accept", "accept")
}
