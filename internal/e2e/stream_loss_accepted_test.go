package e2e

import (
	"errors"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/workload"
)

// TestLossIsAccepted: when messages were lost unread, `projector accept` prints what is given up
// and does nothing without --yes. Then the projector continues and the documents stay. Nothing
// refolds them until a rebuild replaces them.
func TestLossIsAccepted(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	before := served()
	s.loseTheMiddle(t)
	projector.mustExit(t, 14)
	s.mustRun(t, 1, "messages 304 to 393", "accept")
	s.mustRun(t, 14, "", "run") // nothing is accepted yet
	s.mustRun(t, 0, "goes on at 394", "accept", "--yes")
	s.mustRun(t, 0, "nothing to accept", "accept")
	s.startProjector(t)
	s.waitProjected(t)
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	for _, args := range [][]string{{"refold", "--account", someone}, {"parked", "retry", "--all"}} {
		s.checkRun(t, 1, "no longer holds", args...)
	}
	s.checkRun(t, 1, "missing", "rebuild")
	s.mustRun(t, 0, "", "rebuild", "--accept-differences")
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}

// TestCopyIsAccepted: a stream that was recreated from the same messages is accepted after every
// account was compared with it, and one that differs in a single message is not.
func TestCopyIsAccepted(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	before := served()
	messages := s.readMessages(t)
	copyWith := func(change func(i int, m events.Message) events.Message) {
		t.Helper()
		recreateStream(t, s.nats.URL())
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
	projector.mustExit(t, 12)
	s.checkRun(t, 12, "account "+someone+": user", "accept", "--yes")
	copyWith(func(_ int, m events.Message) events.Message { return m })
	s.checkRun(t, 1, "gives up nothing", "accept")
	s.mustRun(t, 0, "", "accept", "--yes")
	s.startProjector(t)
	s.mustPublish(t, workload.New(56, workload.Config{Accounts: 5}), 100)
	s.waitProjected(t)
	if now := served(); now != before {
		t.Errorf("served is %s, and was %s", now, before)
	}
	s.checkAgainstOracle(t)
}

// TestEndLostIsRebuilt: when the stream's end was lost, `accept` refuses, and a rebuild that
// accepts differences replaces the live generation. No document has an entity tag that another
// document had before.
func TestEndLostIsRebuilt(t *testing.T) {
	t.Parallel()
	s, served := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	before := served()
	s.loseTheEnd(t)
	projector.mustExit(t, 13)
	s.checkRun(t, 13, "cannot be accepted", "accept", "--yes")
	s.checkRun(t, 1, "", "rebuild")
	s.mustRun(t, 0, "", "rebuild", "--accept-differences")
	s.startProjector(t)
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	now := served()
	tag, rest, _ := strings.Cut(now, "\n")
	tagBefore, restBefore, _ := strings.Cut(before, "\n")
	if tag == tagBefore || rest != restBefore {
		t.Errorf("served is %s, want another tag than %s", now, before)
	}
}

// TestPartitionsAreRebuilt: a stream whose number of partitions was changed holds messages of one
// account under two partitions. A rebuild folds them into one document and loses none.
func TestPartitionsAreRebuilt(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{7, 40} {
		s, _ := newSystemWithAPI(t)
		projector := s.startProjector(t)
		s.waitProjected(t)
		g := workload.New(57, workload.Config{Accounts: 30, HostileShare: 0.05})
		s.mustPublish(t, g, 2000)
		s.repartition(t, partitions)
		s.mustPublish(t, g, 2000)
		projector.mustExit(t, 15)
		s.mustRun(t, 0, "", "rebuild")
		s.startProjector(t)
		s.mustPublish(t, g, 500)
		s.waitProjected(t)
		s.checkAgainstOracle(t)
		s.checkRun(t, 0, "0 have changed", "refold", "--account", someone)
	}
}

// TestAcceptingAsksWhoeverCallsIt: acts.Accepter reports what is given up before it does so, and
// changes nothing when the caller declines.
func TestAcceptingAsksWhoeverCallsIt(t *testing.T) {
	t.Parallel()
	s, _ := newSystemWithAPI(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	s.loseTheMiddle(t)
	projector.mustExit(t, 14)
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
		s.mustRun(t, 14, "begins after the checkpoint", "run")
	}
	if found, done, accepted, err := accept(true, nil); err != nil || len(found) != 1 || len(done) != 1 || accepted.Things != 1 {
		t.Fatalf("%v: told %+v, done %+v, %+v", err, found, done, accepted)
	}
	if found, done, accepted, err := accept(true, nil); err != nil || len(found)+len(done) > 0 || accepted.Things != 0 {
		t.Errorf("nothing to accept: %v: told %+v, done %+v, %+v", err, found, done, accepted)
	}
}
