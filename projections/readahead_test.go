package projections

import (
	"slices"
	"testing"
	"testing/synctest"
)

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
