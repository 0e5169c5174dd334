package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"accountexport/projections/internal/script"
)

// setPaused pauses projecting, or with nil resumes it.
func (rs *replicas) setPaused(p *Pause) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.pause = p
	rs.notify()
}

// TestPausedProjectorsStandBy pauses projecting for two replicas and one that is started
// meanwhile. Each keeps sending heartbeats and reporting its lag, none counts the pause as
// a failure, no checkpoint moves, and soon after the resumption all go on from there.
func TestPausedProjectorsStandBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := newGenerator(13, 8).stream(900)
		source, rs := newMemorySource(messages[:300]), newReplicas(t)
		all := []*started{rs.start(source, Options{Lanes: 2}), rs.start(source, Options{})}
		rs.wait(messages[299].Position)
		<-time.After(3 * time.Second)
		for round := 1; round <= 2; round++ {
			rs.setPaused(&Pause{Since: script.Start, By: "somebody"})
			rs.mu.Lock()
			before := rs.positions()
			rs.mu.Unlock()
			source.add(messages[300*round : 300*round+300]...)
			if round == 2 {
				all = append(all, rs.start(source, Options{}))
			}
			<-time.After(time.Minute)
			rs.mu.Lock()
			for p, position := range rs.positions() {
				if position != before[p] {
					t.Errorf("partition %d moved from %d to %d while paused", p, before[p], position)
				}
			}
			for _, s := range all {
				if seen := rs.live[s.replica]; time.Since(seen) > 2*time.Second {
					t.Errorf("replica %d was seen last %v ago", s.rank, time.Since(seen))
				}
			}
			rs.mu.Unlock()
			for _, s := range all {
				if told, info := s.watch.paused(); told < 50 || info.Last != source.info.Last {
					t.Errorf("replica %d told %d times that it is paused, at last of a stream that ends at %d", s.rank, told, info.Last)
				}
			}
			rs.setPaused(nil)
			<-time.After(2 * time.Second)
			rs.mu.Lock()
			if lowest := rs.lowest(); lowest < source.info.Last {
				t.Errorf("two seconds after it all is at %d of %d", lowest, source.info.Last)
			}
			rs.mu.Unlock()
		}
		for _, s := range all {
			if told, _ := s.watch.paused(); told != 0 {
				t.Errorf("replica %d does not tell that it goes on", s.rank)
			}
			s.stop()
			if err := <-s.ended; err != nil {
				t.Error(err)
			}
			if r := s.watch.reasons(); len(r) > 0 {
				t.Errorf("restarts of replica %d: %v", s.rank, r)
			}
		}
		newReferenceModel(t, messages).check(t, rs.memoryStore)
	})
}

// TestPausedProjectorEnds checks that a paused projector ends when its context does, also
// one that was started during the pause, and that methods other than Run return ErrPaused.
func TestPausedProjectorEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, rs := newMemorySource(newGenerator(1, 2).stream(50)), newReplicas(t)
		rs.setPaused(&Pause{By: "somebody"})
		s := rs.start(source, Options{})
		<-time.After(10 * time.Second)
		began := time.Now()
		s.stop()
		if err := <-s.ended; err != nil || time.Since(began) > time.Second {
			t.Errorf("it ended after %v: %v", time.Since(began), err)
		}
		p := New(source, rs.join(), Options{})
		defer p.Close()
		for what, err := range map[string]error{"Follow": p.Follow(t.Context()), "RunToEnd": p.RunToEnd(t.Context())} {
			if !isPaused(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := p.RunOnce(context.Background()); !isPaused(err) {
			t.Errorf("RunOnce: %v", err)
		}
	})
}
