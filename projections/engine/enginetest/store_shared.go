package enginetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"accountexport/projections/engine"
)

// heartbeat sends a heartbeat, which has to succeed.
func heartbeat(t *testing.T, s engine.Store, claim bool) engine.Assignment {
	t.Helper()
	got, err := s.Heartbeat(t.Context(), 1, claim)
	if err != nil {
		t.Fatalf("heartbeat: %v", err)
	}
	return got
}

// release has the store release all but n of its partitions.
func release(t *testing.T, s engine.Store, own []engine.Checkpoint, n int) {
	t.Helper()
	for _, c := range own[n:] {
		if err := s.Release(t.Context(), 1, c); err != nil {
			t.Fatalf("release partition %d: %v", c.Partition, err)
		}
	}
}

func testSharing(t *testing.T, m ReadModel) {
	first, second := m.Join(t), m.Join(t)
	own := acquire(t, first)
	if got := acquire(t, second); len(got.Checkpoints) != 0 || !got.Dynamic || got.Generation != own.Generation {
		t.Errorf("the second replica acquires %+v, want nothing yet of generation %d", got, own.Generation)
	}
	half := Stream.Partitions / 2
	if got := heartbeat(t, first, true); len(got.Owned) != Stream.Partitions || got.Target != half {
		t.Errorf("the first replica has %d partitions, and a fair share of %d; want %d and %d", len(got.Owned), got.Target, Stream.Partitions, half)
	}
	release(t, first, own.Checkpoints, 1)
	if got := heartbeat(t, second, false); len(got.Owned) != 0 {
		t.Errorf("a heartbeat without a claim gives %+v", got.Owned)
	}
	if got := heartbeat(t, second, true); len(got.Owned) != half || got.Target != half {
		t.Errorf("the second replica claims %d partitions of its fair share of %d, want %d", len(got.Owned), got.Target, half)
	}
	// One is still free, and would exceed the second replica's fair share.
	if got := heartbeat(t, second, true); len(got.Owned) != half {
		t.Errorf("the second replica claims more than its fair share: %+v", got.Owned)
	}
	if got := heartbeat(t, first, true); len(got.Owned) != half {
		t.Errorf("the first replica has %+v, want its fair share again", got.Owned)
	}
	all := map[int]int{}
	for _, s := range []engine.Store{first, second} {
		owned, err := s.Owned(t.Context(), own.Generation, []int{0, 1, 2, 3})
		if err != nil || len(owned) != half {
			t.Errorf("%+v, %v; want %d partitions", owned, err, half)
		}
		for i, c := range owned {
			all[c.Partition]++
			if i > 0 && owned[i-1].Partition >= c.Partition {
				t.Errorf("owned partitions are not sorted: %+v", owned)
			}
		}
	}
	if len(all) != Stream.Partitions {
		t.Errorf("owned are %v, want every partition once", all)
	}
}

func testRelease(t *testing.T, m ReadModel) {
	first, second := m.Join(t), m.Join(t)
	w := newWriter(t, first)
	w.mustCommit(w.fold(story(0)...))
	acquire(t, second)
	half := Stream.Partitions / 2
	release(t, first, w.own.Checkpoints, half)
	if err := first.Release(t.Context(), 1, w.own.Checkpoints[half]); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("released twice: %v, want %v", err, engine.ErrFenced)
	}
	if owned, err := first.Owned(t.Context(), 1, []int{half}); err != nil || len(owned) != 0 {
		t.Errorf("after the release it owns %+v, %v", owned, err)
	}
	got := heartbeat(t, second, true).Owned
	if len(got) != half {
		t.Fatalf("the second replica has %+v, want what was released", got)
	}
	for i, c := range got {
		was := w.own.Checkpoints[half+i]
		if c.Partition != was.Partition || c.Position != was.Position || c.Epoch <= was.Epoch {
			t.Errorf("it goes on at %+v, want where it was released, %+v, in a later epoch", c, was)
		}
	}
	if err := first.Commit(t.Context(), w.fold(story(1)...)); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("its old owner commits: %v, want %v", err, engine.ErrFenced)
	}
	w.checkContents()
}

func testAwaitRebalance(t *testing.T, m ReadModel) {
	first, second := m.Join(t), m.Join(t)
	own := acquire(t, first)
	acquire(t, second)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Announcements may be lost, such as one from before it waits, so there is one
	// after the other until it returns.
	told := make(chan error, 1)
	go func() { told <- second.AwaitRebalance(ctx) }()
	release(t, first, own.Checkpoints, 2)
	third := m.Join(t)
	for waiting := true; waiting; {
		select {
		case err := <-told:
			if err != nil {
				t.Fatalf("the second replica is not told of changes: %v", err)
			}
			waiting = false
		case <-time.After(20 * time.Millisecond):
			acquire(t, third)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for n := 0; ; n++ {
		if err := second.AwaitRebalance(short); err != nil {
			break
		} else if n > 100 {
			t.Fatal("AwaitRebalance returns again and again, though nothing changes")
		}
	}
}
