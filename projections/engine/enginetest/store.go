package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// ReadModel is an empty read model, and what the test can do to it. Without Pause and
// Resume, and without Tally, what needs them is left out.
type ReadModel struct {
	// Join makes the store of one more replica, and closes it after the test.
	// [TestStore] calls it once.
	Join func(t *testing.T) engine.Store

	// Shared says that replicas share the partitions. Otherwise one store has all.
	Shared bool

	// Pause pauses projecting, and Resume ends that, as an operator would.
	Pause, Resume func(t *testing.T)

	// Touch moves a partition's epoch on, as a refold or an erasure does.
	Touch func(t *testing.T, partition int)

	// Tally reads the messages by outcome that a partition's checkpoint counts.
	Tally func(t *testing.T, partition int) projections.Tally
}

// Stream is the stream that the tests' messages are of.
var Stream = engine.StreamInfo{Name: "CONFORMANCE", Created: start, First: 1, Last: 10_000, Partitions: 4, Time: start.Add(24 * time.Hour)}

var start = time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)

// TestStore checks a store that one replica uses. open makes an empty read model;
// every subtest has one of its own.
func TestStore(t *testing.T, open func(t *testing.T) ReadModel) {
	run(t, open, []subtest{
		{"a new generation begins before the first message", testFirstAcquire},
		{"acquiring again begins new epochs", testAcquireAgain},
		{"what was committed is loaded and looked up", testContents},
		{"accounts that were loaded fold on as if they had stayed in memory", testReload},
		{"a store keeps no memory of a batch, and gives away none of its own", testMemory},
		{"a checkpoint keeps its last message where a batch has none, and adds up the tally", testCheckpoint},
		{"a fenced batch writes nothing, of other partitions neither", testFenced},
		{"lanes commit and load at the same time", testConcurrentLanes},
		{"a commit that is cut off is written whole or not at all", testCutOff},
		{"paused, nothing moves; resumed, commits go on", testPause},
	})
}

// TestSharing checks how replicas share the partitions of a store; Shared and Touch
// must be set. Such a store has to pass [TestStore] as well.
func TestSharing(t *testing.T, open func(t *testing.T) ReadModel) {
	run(t, open, []subtest{
		{"a touched partition is fenced until its owner knows the new epoch", testTouch},
		{"replicas divide the partitions", testSharing},
		{"a released partition goes to another replica, and its old owner is fenced", testRelease},
		{"a replica that only waits is told of changes", testAwaitRebalance},
	})
}

type subtest struct {
	name string
	run  func(t *testing.T, m ReadModel)
}

func run(t *testing.T, open func(t *testing.T) ReadModel, tests []subtest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// acquire has the store take what it can, which has to succeed.
func acquire(t *testing.T, s engine.Store) engine.Ownership {
	t.Helper()
	own, err := s.Acquire(t.Context(), Stream)
	if err != nil {
		t.Fatalf("acquire: %v", err)
	}
	return own
}

func testFirstAcquire(t *testing.T, m ReadModel) {
	own := acquire(t, m.Join(t))
	if own.Dynamic != m.Shared {
		t.Errorf("Dynamic is %t, and the store shares ownership: %t", own.Dynamic, m.Shared)
	}
	if own.Generation == 0 || own.Stream.Name != Stream.Name || !own.Stream.Created.Equal(Stream.Created) {
		t.Errorf("generation %d of stream %+v, want one of %s, created %s", own.Generation, own.Stream, Stream.Name, Stream.Created)
	}
	if len(own.Checkpoints) != Stream.Partitions {
		t.Fatalf("%d partitions, want all %d, since there is no other replica", len(own.Checkpoints), Stream.Partitions)
	}
	for i, c := range own.Checkpoints {
		if c.Partition != i || c.Position != 0 || c.Last.Position != 0 || c.Tally.Total() != 0 {
			t.Errorf("checkpoint %d: %+v, want partition %d before the first message", i, c, i)
		}
	}
}

func testAcquireAgain(t *testing.T, m ReadModel) {
	s := m.Join(t)
	w := newWriter(t, s)
	w.mustCommit(w.fold(story(0)...))
	before := w.own
	own := acquire(t, s)
	if own.Generation != before.Generation || len(own.Checkpoints) != len(before.Checkpoints) {
		t.Fatalf("%+v, want generation %d with its %d partitions again", own, before.Generation, len(before.Checkpoints))
	}
	for i, c := range own.Checkpoints {
		if was := before.Checkpoints[i]; c.Epoch <= was.Epoch || c.Position != was.Position {
			t.Errorf("checkpoint %+v, want the position of %+v in a later epoch", c, was)
		}
	}
	if err := s.Commit(t.Context(), w.fold(story(1)...)); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("a commit in the epochs before: %v, want %v", err, engine.ErrFenced)
	}
}

func testCheckpoint(t *testing.T, m ReadModel) {
	s := m.Join(t)
	w := newWriter(t, s)
	w.mustCommit(w.fold(story(0)...))
	want := slices.Clone(w.own.Checkpoints)
	// An idle checkpoint moves on without a message.
	idle := &engine.Batch{Generation: w.own.Generation}
	for _, c := range want {
		idle.Advances = append(idle.Advances, engine.Advance{Partition: c.Partition, From: c.Position, To: c.Position + 10, Epoch: c.Epoch,
			AsOf: start.Add(time.Hour)})
	}
	w.mustCommit(idle)
	for i, c := range acquire(t, s).Checkpoints {
		was := want[i]
		if c.Position != was.Position+10 || !c.AsOf.Equal(start.Add(time.Hour)) {
			t.Errorf("partition %d is at %d as of %s, want %d as of %s", i, c.Position, c.AsOf, was.Position+10, start.Add(time.Hour))
		}
		if c.Last.Position != was.Last.Position || !c.Last.Time.Equal(was.Last.Time) || c.Last.Digest != was.Last.Digest {
			t.Errorf("partition %d: the last message is %+v, want still %+v", i, c.Last, was.Last)
		}
		if m.Tally == nil {
			continue
		}
		if got := m.Tally(t, i); got != w.tally[i] {
			t.Errorf("partition %d counts %v, want %v", i, got, w.tally[i])
		}
	}
}

// testCutOff commits with a context that has ended: the batch may be written or not,
// and the error says nothing of which, but the checkpoints do.
func testCutOff(t *testing.T, m ReadModel) {
	s := m.Join(t)
	w := newWriter(t, s)
	w.mustCommit(w.fold(story(0)...))
	b := w.fold(story(1)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Commit(ctx, b)
	now := acquire(t, s).Checkpoints
	switch now[0].Position {
	case b.Advances[0].To:
		w.committed(b)
	case b.Advances[0].From:
		if err == nil {
			t.Error("Commit reports success, and the checkpoint has not moved")
		}
	}
	for i, c := range now {
		if c.Position != w.own.Checkpoints[i].Position {
			t.Errorf("partition %d is at %d, want %d, as all of the batch", i, c.Position, w.own.Checkpoints[i].Position)
		}
	}
	w.checkContents()
}
