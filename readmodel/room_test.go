package readmodel

import (
	"context"
	"errors"
	"testing"
	"time"

	"accountexport/events"
)

// TestAccountsHaveTheirTurns: whoever waits for room gets it in turns by
// account, however many reads one of them has waiting.
func TestAccountsHaveTheirTurns(t *testing.T) {
	r := newRoom(10, 0)
	held, err := r.take(t.Context(), events.UUID{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	type served struct {
		account byte
		grant   grant
	}
	order := make(chan served)
	ask := func(account byte, size int64) {
		waiting := func() (n int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, q := range r.waiting {
				n += len(q)
			}
			return n
		}
		before := waiting()
		go func() {
			g, err := r.take(t.Context(), events.UUID{account}, size)
			if err != nil {
				t.Error(err)
			}
			order <- served{account, g}
		}()
		for waiting() == before {
			time.Sleep(time.Millisecond)
		}
	}
	for range 5 {
		ask(1, 10)
	}
	ask(2, 10)
	ask(3, 4)
	r.give(held)
	for i, want := range []byte{1, 2, 3, 1, 1, 1, 1} {
		got := <-order
		if got.account != want {
			t.Errorf("turn %d is that of account %d, want %d", i, got.account, want)
		}
		r.give(got.grant)
	}
	if r.memory != 10 || len(r.accounts) != 0 || len(r.waiting) != 0 {
		t.Errorf("%d are free, %v wait", r.memory, r.waiting)
	}
}

// TestWhoLeavesTheQueueHoldsNothing: also where its turn comes at that moment.
func TestWhoLeavesTheQueueHoldsNothing(t *testing.T) {
	r := newRoom(1, 0)
	for range 500 {
		g, err := r.take(t.Context(), events.UUID{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancelCause(t.Context())
		left := make(chan error)
		go func() {
			g, err := r.take(ctx, events.UUID{1}, 1)
			if err == nil {
				r.give(g)
			}
			left <- err
		}()
		go leave(ErrBusy)
		r.give(g)
		if err := <-left; err != nil && !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	}
	if r.memory != 1 {
		t.Errorf("%d are free", r.memory)
	}
	if _, err := r.take(t.Context(), events.UUID{}, 2); err == nil || errors.Is(err, ErrBusy) {
		t.Errorf("what never fits: %v", err)
	}
}

// TestWhatDoesNotFitInMemoryGoesToFiles, and nowhere where neither has room.
func TestWhatDoesNotFitInMemoryGoesToFiles(t *testing.T) {
	r := newRoom(10, 20)
	memory, _ := r.try(8)
	files, ok := r.try(15)
	if !ok || memory != (grant{memory: 8}) || files != (grant{files: 15}) {
		t.Errorf("%+v, %+v, %v", memory, files, ok)
	}
	if _, ok := r.try(6); ok {
		t.Error("there is no room for six")
	}
	if !r.resize(&files, 20) || r.resize(&files, 21) || !r.resize(&files, 1) {
		t.Errorf("%+v, %d are free", files, r.files)
	}
	r.give(memory)
	r.give(files)
	if r.memory != 10 || r.files != 20 {
		t.Errorf("%d and %d are free", r.memory, r.files)
	}
}
