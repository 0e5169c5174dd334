package projections

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// touch does to a partition's projector what a refold does.
func (rs *replicas) touch(partition int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.checkpoints != nil {
		rs.checkpoints[partition].Epoch++
	}
}

// TestOnlyTheTouchedPartitionBeginsAgain touches one partition again and again
// while events of all come, in batches that hold several partitions: no session
// ends, the other partitions stay in their epochs, and every message is
// committed and counted once.
func TestOnlyTheTouchedPartitionBeginsAgain(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
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
				<-time.After(3 * time.Second) // idle, the touch is found, too
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
				foldWhole(t, messages).check(t, rs.memoryStore)
			})
		}
	})
}

// TestErasedIsNotFoldedFromWhatWasReadAhead: messages that were read ahead, and
// wait for a store that is slow, are removed from the stream, and the partition
// is touched, as an erasure does: they leave nothing in the tables.
func TestErasedIsNotFoldedFromWhatWasReadAhead(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		for lanes := 1; lanes <= 2; lanes++ {
			synctest.Test(t, func(t *testing.T) {
				messages := newGenerator(seed, 8).stream(600)
				source, rs := newMemorySource(messages[:300]), newReplicas(t)
				s := rs.start(source, Options{Lanes: lanes, Read: Bound{10, 1 << 20}, Batch: Bound{20, 1 << 20}})
				rs.wait(messages[299].Position)
				s.freeze()
				source.add(messages[300:]...)
				synctest.Wait()
				rs.mu.Lock()
				reached := rs.lowest()
				rs.mu.Unlock()
				stays := slices.Clone(messages)
				for n := range testPartitions { // an account of each, all but the last message of the stream
					subject := ""
					for i := range messages[300:] {
						if m := &messages[300+i]; m.Partition == n && m.Position > reached {
							subject = m.Subject
							break
						}
					}
					stays = slices.DeleteFunc(stays, func(m Message) bool {
						return m.Subject == subject && m.Position > reached && m.Position < messages[599].Position
					})
				}
				if gone := len(messages) - len(stays); gone < 10 {
					t.Fatalf("%d messages are removed: the test removes little", gone)
				}
				source.mu.Lock()
				source.messages = slices.Clone(stays)
				source.mu.Unlock()
				for n := range testPartitions {
					rs.touch(n)
				}
				s.thaw()
				rs.wait(source.info.Last)
				s.stop()
				if err := <-s.ended; err != nil {
					t.Error(err)
				}
				if r := s.watch.reasons(); len(r) > 0 {
					t.Errorf("restarts %v", r)
				}
				foldWhole(t, stays).check(t, rs.memoryStore)
			})
		}
	})
}
