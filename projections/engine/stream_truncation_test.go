package engine

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"accountexport/projections"
)

// checkEnd is the part of a guard that is about the stream's end.
func checkEnd(info StreamInfo, _ StreamIdentity, _, highest uint64) error {
	if info.Last < highest {
		return fmt.Errorf("%w: %d, %d", ErrStreamBehind, info.Last, highest)
	}
	return nil
}

// reportLast has the source report this position as its end; 0: the real one.
func (s *memorySource) reportLast(position uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if position == 0 {
		position = s.messages[len(s.messages)-1].Position
	}
	s.info.Last = position
}

// replaceEnd has other messages follow the first n.
func (s *memorySource) replaceEnd(n int, others []projections.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = slices.Clone(s.messages[:n])
	for _, m := range others {
		m.Time = m.Time.Add(time.Hour)
		s.messages = append(s.messages, m)
	}
	s.info.Last = s.messages[len(s.messages)-1].Position
}

// cut ends every reader with an error.
func (s *memorySource) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		r.Close()
	}
}

// TestLaggingLeaderIsNotRefused has the source report an end before the checkpoint for a
// moment, as a new leader of a replicated stream may: the projector waits and goes on.
func TestLaggingLeaderIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := newGenerator(1, 2).stream(50)
		e := newHarness(t, messages[:40])
		e.opt.Guard = checkEnd
		stop := e.run(t)
		e.store.wait(messages[39].Position)
		e.source.reportLast(messages[30].Position)
		<-time.After(e.projector().opt.StreamBehindTimeout - time.Second)
		e.source.reportLast(0)
		e.source.add(messages[40:]...)
		e.store.wait(messages[49].Position)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if reasons := e.watch.reasons(); len(reasons) > 0 {
			t.Errorf("started again: %v", reasons)
		}
		newReferenceModel(t, messages).check(t, e.store)
	})
}

// TestLostEndIsRefused checks that a stream that has lost its end stays refused, both while
// it is followed and at the start.
func TestLostEndIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := newGenerator(1, 2).stream(50)
		e := newHarness(t, messages)
		e.opt.Guard = checkEnd
		e.run(t)
		e.store.wait(messages[49].Position)
		e.source.reportLast(messages[48].Position)
		if err := <-e.ended; !errors.Is(err, ErrRefused) || !errors.Is(err, ErrStreamBehind) {
			t.Errorf("while running: error %v, want %v because %v", err, ErrRefused, ErrStreamBehind)
		}
		if err := e.projector().Run(t.Context()); !errors.Is(err, ErrRefused) || !errors.Is(err, ErrStreamBehind) {
			t.Errorf("at start: error %v, want %v because %v", err, ErrRefused, ErrStreamBehind)
		}
		newReferenceModel(t, messages).check(t, e.store)
	})
}

// TestReplacedEndIsRefusedAtStart replaces the stream's end while no projector runs. The
// store has the fingerprint of each partition's last message, so it is refused. A message
// that was removed is no evidence, and neither is a position alone.
func TestReplacedEndIsRefusedAtStart(t *testing.T) {
	for name, change := range map[string]func(m *projections.Message){
		"other times":                      func(m *projections.Message) { m.Time = m.Time.Add(time.Hour) },
		"another payload at the same time": func(m *projections.Message) { m.Data = append([]byte(" "), m.Data...) },
	} {
		t.Run(name, func(t *testing.T) {
			messages := newGenerator(1, 2).stream(60)
			s := newMemoryStore(t)
			first := New(newMemorySource(messages[:40]), s, Options{})
			if err := first.RunToEnd(t.Context()); err != nil {
				t.Fatal(err)
			}
			first.Close()
			replaced := slices.Clone(messages)
			for i := 20; i < len(replaced); i++ {
				change(&replaced[i])
			}
			err := New(newMemorySource(replaced), s, Options{}).RunToEnd(t.Context())
			if !errors.Is(err, ErrRefused) || !errors.Is(err, ErrDiverged) {
				t.Errorf("error %v, want %v because %v", err, ErrRefused, ErrDiverged)
			}
			newReferenceModel(t, messages[:40]).check(t, s)
			var left []projections.Message // without the messages that the fingerprints are of
			for _, m := range messages {
				if !slices.ContainsFunc(s.checkpoints, func(c Checkpoint) bool { return c.Last.Position == m.Position }) {
					left = append(left, m)
				}
			}
			if len(left) == len(messages) {
				t.Fatal("no partition has a last message")
			}
			again := New(newMemorySource(left), s, Options{})
			defer again.Close()
			if err := again.RunToEnd(t.Context()); err != nil {
				t.Errorf("with the last messages removed: %v", err)
			}
			newReferenceModel(t, messages).check(t, s)
		})
	}
}

// TestReplacedEndIsRefused has a stream lose its end and grow beyond the checkpoint before
// it is next sampled: that does not go unnoticed.
func TestReplacedEndIsRefused(t *testing.T) {
	for _, how := range []string{"reading began anew", "it was seen to end too early"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				messages := newGenerator(1, 2).stream(60)
				e := newHarness(t, messages[:40])
				e.opt.Guard = checkEnd
				e.run(t)
				e.store.wait(messages[39].Position)
				if how == "it was seen to end too early" {
					e.source.reportLast(20)
					<-time.After(2 * time.Second)
				}
				e.source.replaceEnd(20, messages[20:])
				if how == "reading began anew" {
					e.source.cut()
				}
				if err := <-e.ended; !errors.Is(err, ErrRefused) || !errors.Is(err, ErrDiverged) {
					t.Errorf("error %v, want %v because %v", err, ErrRefused, ErrDiverged)
				}
			})
		})
	}
}
