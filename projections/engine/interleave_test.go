package engine

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"accountexport/internal/local/testrun"
)

// unruly is a replica's store that interrupts. Just before and just after each call the
// epoch of a partition may be moved on, as by a refold; commits may take long; answers
// may be lost; and the generation may seem to be replaced.
type unruly struct {
	*replica
	random *random
	calm   *atomic.Bool // no more interruptions
	seen   *[interruptions]atomic.Int64
}

// The kinds of interruption.
const (
	touchedBeforeRelease = iota
	touchedBeforeCommit
	touchedElsewhere
	busyCommit
	lostAnswer
	otherGeneration
	interruptions
)

// now tells whether to interrupt so, once in so many times.
func (u *unruly) now(what, in int) bool {
	if u.calm.Load() || u.random.IntN(in) > 0 {
		return false
	}
	u.seen[what].Add(1)
	return true
}

// maybe touches any partition.
func (u *unruly) maybe() {
	if u.now(touchedElsewhere, 12) {
		u.touch(u.random.IntN(testPartitions))
	}
}

func (u *unruly) Acquire(ctx context.Context, info StreamInfo) (Ownership, error) {
	defer u.maybe()
	return u.replica.Acquire(ctx, info)
}

func (u *unruly) Heartbeat(ctx context.Context, generation int64, claim bool) (Assignment, error) {
	u.maybe()
	defer u.maybe()
	got, err := u.replica.Heartbeat(ctx, generation, claim)
	if err == nil && u.now(lostAnswer, 60) {
		return Assignment{}, errFault
	}
	return got, err
}

func (u *unruly) Owned(ctx context.Context, generation int64, partitions []int) ([]Checkpoint, error) {
	u.maybe()
	defer u.maybe()
	if u.now(otherGeneration, 60) {
		return nil, ErrFenced
	}
	return u.replica.Owned(ctx, generation, partitions)
}

func (u *unruly) Release(ctx context.Context, generation int64, c Checkpoint) error {
	if u.now(touchedBeforeRelease, 3) {
		u.touch(c.Partition)
	}
	defer u.maybe()
	if err := u.replica.Release(ctx, generation, c); err != nil {
		return err
	}
	if u.now(lostAnswer, 40) {
		return errFault
	}
	if u.now(busyCommit, 8) { // after the release, and before its lane has the answer
		<-time.After(time.Duration(u.random.IntN(2000)) * time.Millisecond)
	}
	return nil
}

func (u *unruly) Commit(ctx context.Context, b *Batch) error {
	if u.now(busyCommit, 6) {
		<-time.After(time.Duration(u.random.IntN(6000)) * time.Millisecond)
	}
	if len(b.Advances) > 0 && u.now(touchedBeforeCommit, 8) {
		u.touch(b.Advances[u.random.IntN(len(b.Advances))].Partition)
	}
	defer u.maybe()
	if err := u.replica.Commit(ctx, b); err != nil {
		return err
	}
	if u.now(lostAnswer, 80) {
		return errFault
	}
	return nil
}

// TestNoInterleavingStandsStill has replicas join, leave, freeze and thaw, while projecting
// is paused now and then, commits take long, and epochs are moved on around every call
// to the store. Whatever coincides: after that every partition reaches the end of the
// stream, each live replica has its fair share, and the documents are those of one fold.
func TestNoInterleavingStandsStill(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		seen := &[interruptions]atomic.Int64{}
		for round := range uint64(testrun.AtLength(40, 400)) {
			t.Run(fmt.Sprint("round=", round), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { interleave(t, seed*100_000+round, 1+int(round%3), seen) })
			})
		}
		for what := range seen {
			if seen[what].Load() < 2 {
				t.Errorf("interruption %d came up %d times: the test shows little", what, seen[what].Load())
			}
		}
	})
}

func interleave(t *testing.T, seed uint64, lanes int, seen *[interruptions]atomic.Int64) {
	random, calm := newRandom(seed), &atomic.Bool{}
	messages := newGenerator(seed, 8).stream(600)
	source, rs := newMemorySource(nil), newReplicas(t)
	source.random, rs.slow = random, random
	opt := Options{Lanes: lanes, CacheBytes: 100 << 10, Read: Bound{10, 1 << 20}, Batch: Bound{30, 1 << 20}}
	var live []*started
	start := func() {
		live = append(live, rs.startAs(source, opt, func(r *replica) Store { return &unruly{r, random, calm, seen} }))
	}
	end := func(s *started) {
		s.stop()
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
		s.leave()
	}
	start()
	for i := 0; i < len(messages); i += 50 {
		source.add(messages[i : i+50]...)
		pick := random.IntN(len(live))
		switch what := random.IntN(9); {
		case what < 3 && len(live) < 4:
			start()
		case what < 5 && len(live) > 1:
			s := live[pick]
			live = slices.Delete(live, pick, pick+1)
			end(s)
		case what == 5:
			live[pick].freeze()
			<-time.After(time.Duration(random.IntN(8000)) * time.Millisecond)
			live[pick].thaw()
		case what == 6:
			rs.setPaused(&Pause{By: "somebody"})
			<-time.After(time.Duration(random.IntN(2000)) * time.Millisecond)
			rs.setPaused(nil)
		}
		<-time.After(time.Duration(random.IntN(1200)) * time.Millisecond)
	}
	calm.Store(true)
	rs.settled(messages, len(live))
	for _, s := range live {
		end(s)
	}
}
