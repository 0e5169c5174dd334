package enginetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"accountexport/projections/engine"
)

func testFenced(t *testing.T, m ReadModel) {
	s := m.Join(t)
	w := newWriter(t, s)
	w.mustCommit(w.fold(story(0)...))
	b := w.fold(story(1)...)
	for name, spoil := range map[string]func(*engine.Advance){
		"a position further back": func(a *engine.Advance) { a.From-- },
		"a position further on":   func(a *engine.Advance) { a.From++ },
		"an earlier epoch":        func(a *engine.Advance) { a.Epoch-- },
		"a later epoch":           func(a *engine.Advance) { a.Epoch++ },
		"no such partition":       func(a *engine.Advance) { a.Partition = 1000 },
	} {
		fenced := *b
		fenced.Advances = slices.Clone(b.Advances)
		spoil(&fenced.Advances[len(fenced.Advances)-1])
		if err := s.Commit(t.Context(), &fenced); !errors.Is(err, engine.ErrFenced) {
			t.Errorf("%s: %v, want %v", name, err, engine.ErrFenced)
		}
		w.checkContents()
	}
	w.mustCommit(b) // the checkpoints are where they were
	w.checkContents()
}

func testTouch(t *testing.T, m ReadModel) {
	s := m.Join(t)
	w := newWriter(t, s)
	w.mustCommit(w.fold(story(0)...))
	m.Touch(t, 1)
	b := w.fold(story(1)...)
	if err := s.Commit(t.Context(), b); !errors.Is(err, engine.ErrFenced) {
		t.Fatalf("commit: %v, want %v", err, engine.ErrFenced)
	}
	own, err := s.Owned(t.Context(), w.own.Generation, []int{1, 2})
	if err != nil || len(own) != 2 || own[0].Partition != 1 || own[0].Epoch <= w.own.Checkpoints[1].Epoch ||
		own[0].Position != w.own.Checkpoints[1].Position || own[1].Epoch != w.own.Checkpoints[2].Epoch {
		t.Fatalf("owned: %+v, %v; want partition 1 in a later epoch and partition 2 in the same one", own, err)
	}
	if err := s.Release(t.Context(), w.own.Generation, w.own.Checkpoints[1]); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("release in the epoch before: %v, want %v", err, engine.ErrFenced)
	}
	if now, err := s.Owned(t.Context(), w.own.Generation, []int{1}); err != nil || len(now) != 1 || now[0].Epoch != own[0].Epoch {
		t.Errorf("owned: %+v, %v; want what it was before the release that was refused", now, err)
	}
	b.Advances[1].Epoch = own[0].Epoch
	w.mustCommit(b)
	w.checkContents()
}

func testPause(t *testing.T, m ReadModel) {
	if m.Pause == nil {
		t.Skip("this store knows no pause")
	}
	s := m.Join(t)
	w := newWriter(t, s)
	w.mustCommit(w.fold(story(0)...))
	if p, err := s.Paused(t.Context()); p != nil || err != nil {
		t.Errorf("not paused, it says %v, %v", p, err)
	}
	m.Pause(t)
	b := w.fold(story(1)...)
	if err := s.Commit(t.Context(), b); !errors.Is(err, engine.ErrPaused) {
		t.Errorf("commit: %v, want %v", err, engine.ErrPaused)
	}
	w.checkContents()
	if m.Shared {
		if _, err := s.Heartbeat(t.Context(), w.own.Generation, true); !errors.Is(err, engine.ErrPaused) {
			t.Errorf("heartbeat: %v, want %v", err, engine.ErrPaused)
		}
	}
	if p, err := s.Paused(t.Context()); p == nil || err != nil || p.Since.IsZero() || p.By == "" {
		t.Errorf("paused, it says %v, %v", p, err)
	}
	if _, err := s.Acquire(t.Context(), Stream); !errors.Is(err, engine.ErrPaused) {
		t.Errorf("acquire: %v, want %v", err, engine.ErrPaused)
	}
	m.Resume(t)
	if p, err := s.Paused(t.Context()); p != nil || err != nil {
		t.Errorf("resumed, it says %v, %v", p, err)
	}
	w.own.Checkpoints = acquire(t, s).Checkpoints
	for i := range b.Advances {
		if c := w.own.Checkpoints[i]; c.Position != b.Advances[i].From {
			t.Errorf("partition %d moved from %d to %d while paused", i, b.Advances[i].From, c.Position)
		}
		b.Advances[i].Epoch = w.own.Checkpoints[i].Epoch
	}
	w.mustCommit(b)
	w.checkContents()
}

// patience is how long a subtest waits for what may take a store some time.
const patience = 20 * time.Second
