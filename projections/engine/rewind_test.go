package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"accountexport/internal/local/testrun"
	"accountexport/projections"
)

// touch moves a partition's epoch on, as a refold does.
func (rs *replicas) touch(partition int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.checkpoints != nil {
		rs.checkpoints[partition].Epoch++
	}
}

// TestOnlyTheTouchedPartitionBeginsAgain moves one partition's epoch on again and again,
// while events of all partitions come, in batches that hold several. No session ends, the
// other partitions stay in their epochs, and every message is committed and counted once.
func TestOnlyTheTouchedPartitionBeginsAgain(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		for lanes := 1; lanes <= 3; lanes++ {
			synctest.Test(t, func(t *testing.T) {
				random := newRandom(seed)
				messages := newGenerator(seed, 8).stream(3000)
				source, rs := newMemorySource(nil), newReplicas(t)
				source.random, rs.slow = random, random
				s := rs.start(source, Options{Lanes: lanes, CacheBytes: 100 << 10, Read: Bound{30, 1 << 20}, Batch: Bound{80, 1 << 20}})
				source.add(messages[:100]...)
				rs.wait(messages[99].Position)
				const touched = 1
				epochs := func() (all [testPartitions]int64) {
					rs.mu.Lock()
					defer rs.mu.Unlock()
					for p, c := range rs.checkpoints {
						all[p] = c.Epoch
					}
					all[touched] = 0
					return all
				}
				before, touches := epochs(), 0
				for i := 100; i < len(messages); i += 100 {
					source.add(messages[i : i+100]...)
					for range random.IntN(4) {
						rs.touch(touched)
						touches++
						<-time.After(time.Duration(random.IntN(60)) * time.Millisecond)
					}
				}
				rs.wait(source.info.Last)
				<-time.After(3 * time.Second) // it is noticed on an idle stream, too
				rs.touch(touched)
				<-time.After(3 * time.Second)
				if after := epochs(); after != before {
					t.Errorf("epochs of the others were %v and are %v", before, after)
				}
				s.stop()
				if err := <-s.ended; err != nil {
					t.Error(err)
				}
				if r := s.watch.reasons(); len(r) > 0 || touches < 10 {
					t.Errorf("restarts %v after %d touches", r, touches)
				}
				if s.watch.events != len(messages) {
					t.Errorf("%d messages were counted, want %d", s.watch.events, len(messages))
				}
				newReferenceModel(t, messages).check(t, rs.memoryStore)
			})
		}
	})
}

// touchedOnRelease is a replica's store in which the epoch of the first partition to be
// released is moved on right before its release.
type touchedOnRelease struct {
	*replica
	done atomic.Bool
}

func (r *touchedOnRelease) Release(ctx context.Context, generation int64, c Checkpoint) error {
	if !r.done.Swap(true) {
		r.touch(c.Partition)
	}
	return r.replica.Release(ctx, generation, c)
}

// TestTouchedWhileGivenUp moves a partition's epoch on right before it is released to a
// second replica. It is released all the same, and the session goes on.
func TestTouchedWhileGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := newGenerator(9, 8).stream(600)
		source, rs := newMemorySource(messages[:300]), newReplicas(t)
		var store *touchedOnRelease
		first := rs.startAs(source, Options{}, func(r *replica) Store {
			store = &touchedOnRelease{replica: r}
			return store
		})
		rs.wait(messages[299].Position)
		second := rs.start(source, Options{})
		<-time.After(2 * deadAfter)
		if !store.done.Load() {
			t.Error("nothing was given up")
		}
		source.add(messages[300:]...)
		rs.settled(messages, 2)
		rs.end(first, second)
	})
}

// gatedCommits is a replica's store whose commits wait while the gate is closed.
type gatedCommits struct {
	*replica
	gate atomic.Pointer[chan struct{}]
}

func (r *gatedCommits) Commit(ctx context.Context, b *Batch) error {
	if g := r.gate.Load(); g != nil {
		<-*g
	}
	return r.replica.Commit(ctx, b)
}

// TestTouchedWhileAMoveWaits has a rebalance wait to revoke partitions, since their lane is
// busy, and moves the epoch of each of them on meanwhile. Whatever the heartbeat finds
// while the rebalance waits, no partition stops for good.
func TestTouchedWhileAMoveWaits(t *testing.T) {
	for touched := range testPartitions {
		synctest.Test(t, func(t *testing.T) {
			messages := newGenerator(9, 8).stream(900)
			source, rs := newMemorySource(messages[:300]), newReplicas(t)
			var store *gatedCommits
			first := rs.startAs(source, Options{Lanes: 1, Read: Bound{10, 1 << 20}, Batch: Bound{20, 1 << 20}}, func(r *replica) Store {
				store = &gatedCommits{replica: r}
				return store
			})
			rs.wait(messages[299].Position)
			closed := make(chan struct{})
			store.gate.Store(&closed)
			source.add(messages[300:600]...) // so that dispatch waits for the lane
			<-time.After(time.Second)
			second := rs.start(source, Options{})
			<-time.After(2500 * time.Millisecond) // the heartbeat knows the rebalance, and dispatch has not received it
			rs.touch(touched)
			<-time.After(5 * time.Second)
			store.gate.Store(nil)
			close(closed)
			<-time.After(10 * time.Second)
			source.add(messages[600:]...)
			rs.settled(messages, 2)
			rs.end(first, second)
		})
	}
}

// settled requires that within a minute all messages are folded and so many
// replicas have their fair parts.
func (rs *replicas) settled(messages []projections.Message, live int) {
	rs.t.Helper()
	<-time.After(time.Minute)
	if err := rs.balanced(live); err != nil {
		rs.t.Error(err)
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	last := messages[len(messages)-1].Position
	for p, c := range rs.checkpoints {
		if c.Position < last {
			rs.t.Errorf("partition %d stands at %d for a minute, and the stream ends at %d", p, c.Position, last)
		}
	}
	newReferenceModel(rs.t, messages).check(rs.t, rs.memoryStore)
}

// end ends replicas that have nothing left to do, of which none began anew.
func (rs *replicas) end(all ...*started) {
	rs.t.Helper()
	for _, s := range all {
		s.stop()
		if err := <-s.ended; err != nil {
			rs.t.Error(err)
		}
		if r := s.watch.reasons(); len(r) > 0 {
			rs.t.Errorf("restarts of replica %d: %v", s.rank, r)
		}
	}
}

// TestTouchedBetweenBatches moves an epoch on between two calls of RunToEnd. Without a
// dispatching goroutine nothing can rewind the partition, so the call fails with ErrFenced,
// and the next one resumes at the checkpoint.
func TestTouchedBetweenBatches(t *testing.T) {
	messages := newGenerator(9, 8).stream(400)
	source, rs := newMemorySource(messages[:200]), newReplicas(t)
	p := New(source, rs.join(), Options{Batch: Bound{50, 1 << 20}})
	defer p.Close()
	if err := p.RunToEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	source.add(messages[200:]...)
	rs.touch(1)
	if err := p.RunToEnd(t.Context()); !errors.Is(err, ErrFenced) {
		t.Errorf("after the touch: %v", err)
	}
	if err := p.RunToEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	newReferenceModel(t, messages).check(t, rs.memoryStore)
}
