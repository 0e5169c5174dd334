package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// TestLossIsAccepted: where messages are gone unread, `projector accept` says
// what that gives up, does nothing without --yes, and then the documents stay
// and the projector goes on; nothing refolds them, until a rebuild has made
// documents of what there is.
func TestLossIsAccepted(t *testing.T) {
	t.Parallel()
	s, served := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before := served()
	s.loseTheMiddle(t)
	if status := projector.wait(); status != 14 {
		t.Fatalf("exit %d", status)
	}
	accept := func(want int, says string, args ...string) {
		t.Helper()
		out, status := command(t, "projector", s.settings, append([]string{"accept"}, args...)...)
		if status != want || !strings.Contains(out, says) {
			t.Fatalf("accept %v: exit %d, want %d and %q: %s", args, status, want, says, out)
		}
	}
	accept(1, "messages 304 to 393")
	if out, status := command(t, "projector", s.settings, "run"); status != 14 {
		t.Fatalf("run, nothing accepted: exit %d: %s", status, out)
	}
	accept(0, "goes on at 394", "--yes")
	accept(0, "nothing to accept")
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	for _, args := range [][]string{{"refold", "--account", someone}, {"parked", "retry", "--all"}} {
		if out, status := command(t, "projector", s.settings, args...); status != 1 || !strings.Contains(out, "no longer holds") {
			t.Errorf("%v: exit %d: %s", args, status, out)
		}
	}
	if out, status := command(t, "projector", s.settings, "rebuild"); status != 1 || !strings.Contains(out, "missing") {
		t.Errorf("rebuild: exit %d: %s", status, out)
	}
	if out, status := command(t, "projector", s.settings, "rebuild", "--accept-differences"); status != 0 {
		t.Fatalf("rebuild, accepting: exit %d: %s", status, out)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.verify(t)
}

// TestCopyIsAccepted: a stream that was made anew from the same messages is
// accepted once every account was held against it, and one that differs in a
// single message is not.
func TestCopyIsAccepted(t *testing.T) {
	t.Parallel()
	s, served := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before := served()
	var messages []events.Message
	err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
		messages = append(messages, m.Message)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	copyWith := func(change func(i int, m events.Message) events.Message) {
		t.Helper()
		recreate(t, s.nats.URL())
		i := 0
		_, err := s.client.PublishAll(t.Context(), func() (events.Message, bool) {
			if i == len(messages) {
				return events.Message{}, false
			}
			i++
			return change(i, messages[i-1]), true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	copyWith(func(i int, m events.Message) events.Message {
		if i == 2 { // someone's registration
			m.Data = []byte(strings.Replace(string(m.Data), "someone@", "sameone@", 1))
		}
		return m
	})
	if status := projector.wait(); status != 12 {
		t.Fatalf("exit %d", status)
	}
	if out, status := command(t, "projector", s.settings, "accept", "--yes"); status != 12 || !strings.Contains(out, "account "+someone+": user") {
		t.Errorf("a stream that differs is accepted: exit %d: %s", status, out)
	}
	copyWith(func(_ int, m events.Message) events.Message { return m })
	if out, status := command(t, "projector", s.settings, "accept"); status != 1 || !strings.Contains(out, "gives up nothing") {
		t.Errorf("accept: exit %d: %s", status, out)
	}
	if out, status := command(t, "projector", s.settings, "accept", "--yes"); status != 0 {
		t.Fatalf("accept --yes: exit %d: %s", status, out)
	}
	launch(t, "projector", s.settings, "run")
	if err := s.publish(t.Context(), workload.New(56, workload.Config{Accounts: 5}), 100, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	s.verify(t)
}

// TestEndLostIsRebuilt: where the stream's end is lost, nothing accepts the
// live generation, and a rebuild that is told to accept differences takes its
// place; no entity tag of before is given to a document of now.
func TestEndLostIsRebuilt(t *testing.T) {
	t.Parallel()
	s, served := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	before := served()
	s.loseTheEnd(t)
	if status := projector.wait(); status != 13 {
		t.Fatalf("exit %d", status)
	}
	if out, status := command(t, "projector", s.settings, "accept", "--yes"); status != 13 || !strings.Contains(out, "cannot be accepted") {
		t.Errorf("accept: exit %d: %s", status, out)
	}
	if out, status := command(t, "projector", s.settings, "rebuild"); status != 1 {
		t.Errorf("rebuild: exit %d: %s", status, out)
	}
	if out, status := command(t, "projector", s.settings, "rebuild", "--accept-differences"); status != 0 {
		t.Fatalf("rebuild, accepting: exit %d: %s", status, out)
	}
	launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.verify(t)
	now := served()
	tag, rest, _ := strings.Cut(now, "\n")
	tagBefore, restBefore, _ := strings.Cut(before, "\n")
	if tag == tagBefore || rest != restBefore {
		t.Errorf("served is %s, want another tag than %s", now, before)
	}
}

// TestPartitionsAreRebuilt: a stream whose number of partitions was changed
// holds messages of one account under two of them. A rebuild folds them into
// one document, and loses none.
func TestPartitionsAreRebuilt(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{7, 40} {
		s, _ := newWithSomeone(t)
		projector := launch(t, "projector", s.settings, "run")
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		g := workload.New(57, workload.Config{Accounts: 30, HostileShare: 0.05})
		if err := s.publish(t.Context(), g, 2000, 0); err != nil {
			t.Fatal(err)
		}
		s.repartition(t, partitions)
		if err := s.publish(t.Context(), g, 2000, 0); err != nil {
			t.Fatal(err)
		}
		if status := projector.wait(); status != 15 {
			t.Fatalf("exit %d", status)
		}
		if out, status := command(t, "projector", s.settings, "rebuild"); status != 0 {
			t.Fatalf("rebuild: exit %d: %s", status, out)
		}
		launch(t, "projector", s.settings, "run")
		if err := s.publish(t.Context(), g, 500, 0); err != nil {
			t.Fatal(err)
		}
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		s.verify(t)
		if out, status := command(t, "projector", s.settings, "refold", "--account", someone); status != 0 || !strings.Contains(out, "0 have changed") {
			t.Errorf("refold: exit %d: %s", status, out)
		}
	}
}

// TestAcceptingAsksWhoeverCallsIt: what accepting gives up is told before it is
// done, whatever front end there is; where that says no, nothing is changed.
func TestAcceptingAsksWhoeverCallsIt(t *testing.T) {
	t.Parallel()
	s, _ := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.loseTheMiddle(t)
	if status := projector.wait(); status != 14 {
		t.Fatalf("exit %d", status)
	}
	errNo := errors.New("no")
	accept := func(yes bool, answer error) (found, done []acts.Acceptance, accepted acts.Accepted, err error) {
		a := acts.Acceptor{Target: acts.NewTarget(s.client, s.pool), Yes: yes,
			OnFound:    func(it acts.Acceptance) error { found = append(found, it); return answer },
			OnAccepted: func(it acts.Acceptance) error { done = append(done, it); return nil }}
		accepted, err = a.Accept(t.Context())
		return found, done, accepted, err
	}
	for name, c := range map[string]struct {
		yes          bool
		answer, want error
	}{"nobody says yes": {false, nil, acts.ErrNotConfirmed}, "somebody says no": {true, errNo, errNo}} {
		found, done, accepted, err := accept(c.yes, c.answer)
		if !errors.Is(err, c.want) || len(done) > 0 || accepted.Things != 0 || len(found) != 1 || found[0].What != acts.AcceptLoss ||
			found[0].Lowest != 303 || found[0].Info.First != 394 {
			t.Errorf("%s: %v; told %+v, done %+v, %+v", name, err, found, done, accepted)
		}
		s.says(t, 14, "begins after the checkpoint", "run")
	}
	if found, done, accepted, err := accept(true, nil); err != nil || len(found) != 1 || len(done) != 1 || accepted.Things != 1 {
		t.Fatalf("%v: told %+v, done %+v, %+v", err, found, done, accepted)
	}
	if found, done, accepted, err := accept(true, nil); err != nil || len(found)+len(done) > 0 || accepted.Things != 0 {
		t.Errorf("nothing to accept: %v: told %+v, done %+v, %+v", err, found, done, accepted)
	}
}
