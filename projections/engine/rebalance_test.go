package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"accountexport/internal/local/testrun"
)

// deadAfter is after how much silence a replica of the tests loses its partitions.
const deadAfter = 3 * time.Second

// replicas share a store's partitions by the same rules as those of the database.
type replicas struct {
	*memoryStore
	rank   int
	owners map[int]*replica
	live   map[*replica]time.Time // last seen
	moved  chan struct{}          // closed when partitions may change hands
}

// notify wakes those who await a rebalance. The lock must be held.
func (rs *replicas) notify() {
	close(rs.moved)
	rs.moved = make(chan struct{})
}

// replica is the store as one projector sees it.
type replica struct {
	*replicas
	rank int

	state  sync.Mutex
	frozen chan struct{} // nil: it is not; closed when it thaws
}

func newReplicas(t testing.TB) *replicas {
	return &replicas{memoryStore: newMemoryStore(t), owners: map[int]*replica{}, live: map[*replica]time.Time{},
		moved: make(chan struct{})}
}

func (rs *replicas) join() *replica {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.rank++
	return &replica{replicas: rs, rank: rs.rank}
}

// freeze has the replica's calls wait. One that is under way may still take effect.
func (r *replica) freeze() {
	r.state.Lock()
	defer r.state.Unlock()
	r.frozen = make(chan struct{})
}

func (r *replica) thaw() {
	r.state.Lock()
	defer r.state.Unlock()
	if r.frozen != nil {
		close(r.frozen)
		r.frozen = nil
	}
}

func (r *replica) awake() {
	r.state.Lock()
	frozen := r.frozen
	r.state.Unlock()
	if frozen != nil {
		<-frozen // a process that is stopped does not notice that its context ends
	}
}

func (r *replica) Acquire(ctx context.Context, info StreamInfo) (Ownership, error) {
	r.awake()
	if r.checkpointsMissing() {
		if _, err := r.memoryStore.Acquire(ctx, info); err != nil {
			return Ownership{}, err
		}
	}
	r.mu.Lock()
	if err := r.checkPaused(); err != nil {
		r.mu.Unlock()
		return Ownership{}, err
	}
	r.notify()
	r.live[r] = time.Now()
	for p, owner := range r.owners {
		if owner == r {
			r.checkpoints[p].Epoch++
		}
	}
	r.mu.Unlock()
	s, err := r.Heartbeat(ctx, 1, true)
	return Ownership{Generation: 1, Stream: r.stream, Checkpoints: s.Owned, Dynamic: true}, err
}

func (rs *replicas) checkpointsMissing() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.checkpoints == nil
}

func (r *replica) Heartbeat(_ context.Context, _ int64, claim bool) (s Assignment, err error) {
	r.awake()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.live[r]; !there {
		return s, ErrFenced
	}
	r.live[r] = time.Now()
	if err := r.checkPaused(); err != nil {
		return s, err
	}
	maps.DeleteFunc(r.live, func(_ *replica, seen time.Time) bool { return time.Since(seen) > deadAfter })
	ranked := slices.SortedFunc(maps.Keys(r.live), func(a, b *replica) int { return a.rank - b.rank })
	s.Target = len(r.checkpoints) / len(ranked)
	if slices.Index(ranked, r) < len(r.checkpoints)%len(ranked) {
		s.Target++
	}
	mine := 0
	for _, owner := range r.owners {
		if owner == r {
			mine++
		}
	}
	for p := range r.checkpoints {
		if _, taken := r.live[r.owners[p]]; claim && !taken && mine < s.Target {
			r.owners[p] = r
			r.checkpoints[p].Epoch++
			mine++
		}
		if r.owners[p] == r {
			s.Owned = append(s.Owned, r.checkpoints[p])
		}
	}
	return s, nil
}

func (r *replica) Owned(_ context.Context, _ int64, partitions []int) (own []Checkpoint, err error) {
	r.awake()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range partitions {
		if r.owners[p] == r {
			own = append(own, r.checkpoints[p])
		}
	}
	return own, nil
}

func (r *replica) Paused(ctx context.Context) (*Pause, error) {
	r.awake()
	r.mu.Lock()
	r.live[r] = time.Now()
	r.mu.Unlock()
	return r.memoryStore.Paused(ctx)
}

func (r *replica) AwaitRebalance(ctx context.Context) error {
	r.mu.Lock()
	moved := r.moved
	r.mu.Unlock()
	select {
	case <-moved:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *replica) Release(_ context.Context, _ int64, c Checkpoint) error {
	r.awake()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owners[c.Partition] != r || r.checkpoints[c.Partition].Epoch != c.Epoch {
		return ErrFenced
	}
	if r.checkpoints[c.Partition].Position != c.Position {
		r.t.Errorf("partition %d is given up at %d, and stored at %d", c.Partition, c.Position, r.checkpoints[c.Partition].Position)
	}
	r.notify()
	r.owners[c.Partition] = nil
	r.checkpoints[c.Partition].Epoch++
	return nil
}

func (r *replica) Commit(ctx context.Context, b *Batch) error {
	r.awake()
	return r.memoryStore.Commit(ctx, b)
}

// leave does what closing the store does.
func (r *replica) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notify()
	delete(r.live, r)
	for p, owner := range r.owners {
		if owner == r {
			r.owners[p] = nil
			r.checkpoints[p].Epoch++
		}
	}
}

// balanced is an error where the live replicas do not have their fair shares.
func (rs *replicas) balanced(n int) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	have := map[*replica]int{}
	for p := range rs.checkpoints {
		if _, live := rs.live[rs.owners[p]]; !live {
			return fmt.Errorf("partition %d is nobody's", p)
		}
		have[rs.owners[p]]++
	}
	if len(rs.live) != n {
		return fmt.Errorf("%d live replicas, want %d", len(rs.live), n)
	}
	for r := range rs.live {
		if least := len(rs.checkpoints) / n; have[r] < least || have[r] > least+1 {
			return fmt.Errorf("replica %d has %d partitions of %d among %d", r.rank, have[r], len(rs.checkpoints), n)
		}
	}
	return nil
}

// started is a running projector.
type started struct {
	*replica
	watch *observer
	stop  context.CancelFunc
	ended chan error
}

func (rs *replicas) start(source Source, opt Options) *started {
	return rs.startAs(source, opt, func(r *replica) Store { return r })
}

// startAs starts a projector with a store that wraps the replica.
func (rs *replicas) startAs(source Source, opt Options, as func(*replica) Store) *started {
	ctx, cancel := context.WithCancel(rs.t.Context())
	s := &started{replica: rs.join(), watch: newObserver(), stop: cancel, ended: make(chan error, 1)}
	opt.Observer, opt.Logger = s.watch, slog.New(slog.DiscardHandler)
	store := as(s.replica)
	go func() { s.ended <- New(source, store, opt).Run(ctx) }()
	return s
}

// TestReplicasShareAStream has replicas join, leave, freeze and thaw at random, and moves
// epochs on, while the stream grows. Soon after, each live replica has its fair share; in
// the end the tables are those of one fold, and every message was committed once.
func TestReplicasShareAStream(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		for lanes := 1; lanes <= 2; lanes++ {
			synctest.Test(t, func(t *testing.T) {
				random := newRandom(seed)
				messages := newGenerator(seed, 8).stream(testrun.AtLength(2000, 6000))
				source := newMemorySource(nil)
				source.random = random
				rs := newReplicas(t)
				rs.slow = random
				opt := Options{Lanes: lanes, CacheBytes: 100 << 10, Read: Bound{30, 1 << 20}, Batch: Bound{80, 1 << 20}}
				var all, live []*started
				start := func() {
					s := rs.start(source, opt)
					all, live = append(all, s), append(live, s)
				}
				start()
				for i := 0; i < len(messages); i += 100 {
					source.add(messages[i : i+100]...)
					pick := random.IntN(len(live))
					switch random.IntN(6) {
					case 0:
						if len(live) < 4 {
							start()
						}
					case 1:
						if len(live) > 1 {
							s := live[pick]
							live = slices.Delete(live, pick, pick+1)
							s.stop()
							if err := <-s.ended; err != nil {
								t.Error(err)
							}
							s.leave()
						}
					case 2:
						s := live[pick]
						s.freeze()
						<-time.After(time.Duration(random.IntN(8000)) * time.Millisecond)
						s.thaw()
					case 3:
						for range random.IntN(5) {
							rs.touch(random.IntN(testPartitions))
							<-time.After(time.Duration(random.IntN(40)) * time.Millisecond)
						}
					}
					<-time.After(time.Duration(random.IntN(1500)) * time.Millisecond)
				}
				rs.wait(source.info.Last)
				<-time.After(2 * deadAfter)
				if err := rs.balanced(len(live)); err != nil {
					t.Error(err)
				}
				counted, fenced := 0, 0
				for _, s := range live {
					s.stop()
					if err := <-s.ended; err != nil {
						t.Error(err)
					}
				}
				for _, s := range all {
					counted += s.watch.events
					fenced += s.watch.reasons()["fenced"]
				}
				// A commit that succeeded after its session had ended is not
				// reported to the observer, but the tallies have it.
				if counted > len(messages) {
					t.Errorf("%d messages were committed, want %d", counted, len(messages))
				}
				t.Logf("%d replicas, fenced %d times", len(all), fenced)
				newReferenceModel(t, messages).check(t, rs.memoryStore)
			})
		}
	})
}

// TestFrozenReplicaIsFenced freezes a replica for longer than the others wait for it. Its
// partitions are taken over meanwhile, its commit under way is refused when it thaws, and
// afterwards it has a share again.
func TestFrozenReplicaIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := newGenerator(7, 8).stream(1000)
		source, rs := newMemorySource(messages[:500]), newReplicas(t)
		first, second := rs.start(source, Options{}), rs.start(source, Options{})
		rs.wait(messages[499].Position)
		<-time.After(3 * time.Second)
		if err := rs.balanced(2); err != nil {
			t.Fatal(err)
		}
		first.freeze()
		source.add(messages[500:]...)
		rs.wait(messages[999].Position) // by the other replica
		if rs.balanced(1) != nil {
			t.Error(rs.balanced(1))
		}
		first.thaw()
		<-time.After(3 * time.Second)
		if err := rs.balanced(2); err != nil {
			t.Error(err)
		}
		if first.watch.reasons()["fenced"] == 0 || len(second.watch.reasons()) > 0 {
			t.Errorf("restarts of the frozen one: %v, of the other: %v", first.watch.reasons(), second.watch.reasons())
		}
		for _, s := range []*started{first, second} {
			s.stop()
			if err := <-s.ended; err != nil {
				t.Error(err)
			}
		}
		if n := first.watch.events + second.watch.events; n != len(messages) {
			t.Errorf("%d messages were committed, want %d", n, len(messages))
		}
		newReferenceModel(t, messages).check(t, rs.memoryStore)
	})
}

// TestPartitionsMoveWithoutStopping has a second replica join and leave: no replica is
// restarted, and partitions that stay with their owner go on.
func TestPartitionsMoveWithoutStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := newGenerator(9, 8).stream(1200)
		source, rs := newMemorySource(messages[:300]), newReplicas(t)
		first := rs.start(source, Options{Lanes: 3})
		rs.wait(messages[299].Position)
		epoch := func() int64 {
			rs.mu.Lock()
			defer rs.mu.Unlock()
			return rs.checkpoints[0].Epoch
		}
		before := epoch()
		for i := 300; i < 1200; i += 300 {
			second := rs.start(source, Options{})
			<-time.After(2 * time.Second)
			if err := rs.balanced(2); err != nil {
				t.Error(err)
			}
			source.add(messages[i : i+300]...)
			rs.wait(messages[i+299].Position)
			second.stop()
			if err := <-second.ended; err != nil {
				t.Error(err)
			}
			second.leave()
			<-time.After(2 * time.Second)
			if err := rs.balanced(1); err != nil {
				t.Error(err)
			}
			if r := second.watch.reasons(); len(r) > 0 {
				t.Errorf("the second began anew: %v", r)
			}
		}
		if r := first.watch.reasons(); len(r) > 0 {
			t.Errorf("the first began anew: %v", r)
		}
		if epoch() != before {
			t.Error("the lowest partition has moved, though it had no need to")
		}
		first.stop()
		if err := <-first.ended; err != nil {
			t.Error(err)
		}
		newReferenceModel(t, messages).check(t, rs.memoryStore)
	})
}

// TestCompare checks which rebalance follows from a heartbeat's answer. It comes once:
// reconciled with the same answer again, there is nothing to do.
func TestCompare(t *testing.T) {
	own := func(partitions ...int) (cs []Checkpoint) {
		for _, p := range partitions {
			cs = append(cs, Checkpoint{Partition: p, Epoch: 5})
		}
		return cs
	}
	for _, tc := range []struct {
		name          string
		held, leaving []int
		now           Assignment
		gained, lost  []int
		fenced        bool
	}{
		{name: "nothing new", held: []int{1}, now: Assignment{own(1), 1}},
		{name: "one more", held: []int{1}, now: Assignment{own(1, 2), 2}, gained: []int{2}},
		{name: "too many", held: []int{1, 2, 3}, now: Assignment{own(1, 2, 3), 1}, lost: []int{3, 2}},
		{name: "giving up", held: []int{1}, leaving: []int{2}, now: Assignment{own(1, 2), 1}},
		{name: "given up, and not told yet", held: []int{1}, leaving: []int{2}, now: Assignment{own(1), 1}},
		{name: "given up and taken again", held: []int{1}, now: Assignment{own(1, 2), 2}, gained: []int{2}},
		{name: "taken, and too many since: one after the other", held: []int{1}, now: Assignment{own(1, 2), 1}, gained: []int{2}},
		{name: "taken away", held: []int{1, 2}, now: Assignment{own(1), 2}, fenced: true},
		{name: "taken away while given up", held: []int{1}, leaving: []int{2}, now: Assignment{own(1), 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := currentAssignment{map[int]bool{}, map[int]bool{}}
			for _, p := range tc.held {
				n.assigned[p] = true
			}
			for _, p := range tc.leaving {
				n.revoking[p] = true
			}
			if err := n.check(tc.now); errors.Is(err, ErrFenced) != tc.fenced || err != nil && !tc.fenced {
				t.Fatal(err)
			}
			if tc.fenced {
				return
			}
			m := n.reconcile(tc.now)
			var gained []int
			for _, c := range m.assigned {
				gained = append(gained, c.Partition)
			}
			if !slices.Equal(gained, tc.gained) || !slices.Equal(m.revoked, tc.lost) {
				t.Errorf("gained %v, gives up %v; want %v, %v", gained, m.revoked, tc.gained, tc.lost)
			}
			if m := n.reconcile(Assignment{tc.now.Owned, len(n.assigned)}); !m.none() {
				t.Errorf("it finds once more %+v", m)
			}
		})
	}
}
