package engine

import (
	"slices"
	"testing"
	"testing/synctest"

	"accountexport/internal/local/testrun"
	"accountexport/projections"
)

// TestErasedIsNotFoldedFromWhatWasReadAhead removes messages from the stream that were read
// ahead and wait for a slow store, and moves the partition's epoch on, as an erasure does:
// they leave nothing in the tables.
func TestErasedIsNotFoldedFromWhatWasReadAhead(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
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
				for n := range testPartitions { // an account of each partition; not the last message of the stream
					subject := ""
					for i := range messages[300:] {
						if m := &messages[300+i]; m.Partition == n && m.Position > reached {
							subject = m.Subject
							break
						}
					}
					stays = slices.DeleteFunc(stays, func(m projections.Message) bool {
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
				newReferenceModel(t, stays).check(t, rs.memoryStore)
			})
		}
	})
}

// TestErasedIsNotFoldedFromWhatWasReadAheadOfOthers has a replica read ahead over messages
// of a partition that is not its own. They are removed from the stream, and then the
// partition, which is not behind the reader, is assigned to this replica: what was read
// ahead leaves nothing in the tables.
func TestErasedIsNotFoldedFromWhatWasReadAheadOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const others, mine = testPartitions - 2, testPartitions - 1
		messages := newGenerator(3, 8).stream(600)
		source, rs := newMemorySource(messages), newReplicas(t)
		ctx := t.Context()
		another, self := rs.join(), rs.join()
		own, err := another.Acquire(ctx, source.info) // all
		if err != nil {
			t.Fatal(err)
		}
		if err := another.Release(ctx, 1, own.Checkpoints[mine]); err != nil {
			t.Fatal(err)
		}
		s, err := New(source, self, Options{}).openSession(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer s.closeReader()
		if len(s.partitions) != 1 || s.partitions[mine] == nil {
			t.Fatalf("it has %v", s.partitions)
		}
		s.prefetcher.start(ctx, s.p.opt.Read)
		synctest.Wait() // it has read ahead
		stays := slices.DeleteFunc(slices.Clone(messages), func(m projections.Message) bool {
			return m.Partition == others && m.Position < messages[599].Position
		})
		source.mu.Lock()
		source.messages = slices.Clone(stays)
		source.mu.Unlock()
		if err := another.Release(ctx, 1, own.Checkpoints[others]); err != nil {
			t.Fatal(err)
		}
		got, err := self.Heartbeat(ctx, 1, true)
		if err != nil || len(got.Owned) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.lanes[0].run(ctx, s.in[s.lanes[0]]) }()
		if err := s.applyRebalance(ctx, rebalance{assigned: got.Owned[:1]}); err != nil {
			t.Fatal(err)
		}
		for s.readPosition.Load() < messages[599].Position {
			if err := s.deliver(ctx, (<-s.prefetcher.start(ctx, s.p.opt.Read)).messages); err != nil {
				t.Fatal(err)
			}
		}
		close(s.in[s.lanes[0]])
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		want := [testPartitions]int64{}
		for _, m := range stays {
			want[m.Partition]++
		}
		for _, p := range []int{others, mine} {
			var have int64
			for _, n := range rs.checkpoints[p].Tally {
				have += int64(n)
			}
			if have != want[p] {
				t.Errorf("of partition %d %d messages are folded, and the stream holds %d", p, have, want[p])
			}
		}
		if want[mine] == 0 || want[others] > 1 {
			t.Errorf("the stream holds %v: the test shows nothing", want)
		}
	})
}
