package export

import (
	"context"
	"errors"
	"testing"
	"time"

	"accountexport/events"
)

// TestAccountsHaveTheirTurns: reads that wait for room get it in turns by account,
// however many of them one account has.
func TestAccountsHaveTheirTurns(t *testing.T) {
	r := newBudget(10, 0)
	held, err := r.acquire(t.Context(), events.UUID{}, 10)
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
			g, err := r.acquire(t.Context(), events.UUID{account}, size)
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
	r.release(held)
	for i, want := range []byte{1, 2, 3, 1, 1, 1, 1} {
		got := <-order
		if got.account != want {
			t.Errorf("turn %d is that of account %d, want %d", i, got.account, want)
		}
		r.release(got.grant)
	}
	if r.freeMemory != 10 || len(r.turns) != 0 || len(r.waiting) != 0 {
		t.Errorf("%d are free, %v wait", r.freeMemory, r.waiting)
	}
}

// TestWhoLeavesTheQueueHoldsNothing: a read that stops waiting holds nothing, also
// where its turn comes at that moment.
func TestWhoLeavesTheQueueHoldsNothing(t *testing.T) {
	r := newBudget(1, 0)
	for range 500 {
		g, err := r.acquire(t.Context(), events.UUID{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancelCause(t.Context())
		left := make(chan error)
		go func() {
			g, err := r.acquire(ctx, events.UUID{1}, 1)
			if err == nil {
				r.release(g)
			}
			left <- err
		}()
		go leave(ErrBusy)
		r.release(g)
		if err := <-left; err != nil && !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	}
	if r.freeMemory != 1 {
		t.Errorf("%d are free", r.freeMemory)
	}
	if _, err := r.acquire(t.Context(), events.UUID{}, 2); err == nil || errors.Is(err, ErrBusy) {
		t.Errorf("what never fits: %v", err)
	}
}

// TestWhatDoesNotFitInMemoryGoesToFiles: what does not fit in memory goes to files,
// and waits where neither has room.
func TestWhatDoesNotFitInMemoryGoesToFiles(t *testing.T) {
	r := newBudget(10, 20)
	memory, _ := r.tryAcquire(8)
	files, ok := r.tryAcquire(15)
	if !ok || memory != (grant{memory: 8}) || files != (grant{files: 15}) {
		t.Errorf("%+v, %+v, %v", memory, files, ok)
	}
	if _, ok := r.tryAcquire(6); ok {
		t.Error("there is no room for six")
	}
	if !r.resize(&files, 20) || r.resize(&files, 21) || !r.resize(&files, 1) {
		t.Errorf("%+v, %d are free", files, r.freeFiles)
	}
	r.release(memory)
	r.release(files)
	if r.freeMemory != 10 || r.freeFiles != 20 {
		t.Errorf("%d and %d are free", r.freeMemory, r.freeFiles)
	}
}

// TestPartsOfOneAccountLeaveRoomForOthers: an account's parts of documents beyond its
// share wait for what it holds itself, and no other account waits with them. One part
// alone may be larger than the share.
func TestPartsOfOneAccountLeaveRoomForOthers(t *testing.T) {
	r := newBudget(0, 100)
	one, other := events.UUID{1}, events.UUID{2}
	large, err := r.acquireFor(t.Context(), one, 1, true)
	if err != nil || !r.resize(&large, 40) {
		t.Fatalf("%+v, %v", large, err)
	}
	soon := func(account events.UUID, size int64, part bool) (grant, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return r.acquireFor(ctx, account, size, part)
	}
	if g, err := soon(one, 1, true); err == nil {
		t.Errorf("beyond its share it got %+v", g)
	}
	waits := make(chan grant)
	go func() {
		g, err := r.acquireFor(t.Context(), one, 20, true)
		if err != nil {
			t.Error(err)
		}
		waits <- g
	}()
	for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		waiting = len(r.waiting[one])
		r.mu.Unlock()
	}
	for _, g := range []struct {
		account events.UUID
		part    bool
	}{{one, false}, {other, true}, {other, false}} {
		got, err := soon(g.account, 20, g.part)
		if err != nil {
			t.Errorf("%+v: %v", g, err)
		}
		defer func() {
			r.release(got)
			if r.freeFiles > 100 || r.freeFiles == 100 && len(r.parts) > 0 {
				t.Errorf("%d are free, %v are parts", r.freeFiles, r.parts)
			}
		}()
	}
	r.release(large)
	second := <-waits
	third, err := soon(one, 5, true)
	if err != nil || r.resize(&third, 6) || !r.resize(&third, 4) {
		t.Errorf("%+v beside %+v, %v", third, second, err)
	}
	r.release(third)
	r.release(second)
}

// TestWhatMemoryHasRoomForPassesWhatNeverFitsThere: what memory has room for passes
// what never fits into memory, and nothing else does.
func TestWhatMemoryHasRoomForPassesWhatNeverFitsThere(t *testing.T) {
	r := newBudget(10, 100)
	held, _ := r.tryAcquire(60)
	first := make(chan grant)
	go func() {
		g, err := r.acquire(t.Context(), events.UUID{1}, 50)
		if err != nil {
			t.Error(err)
		}
		first <- g
	}()
	for waiting := 0; waiting == 0; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		waiting = len(r.turns)
		r.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	small, err := r.acquire(ctx, events.UUID{2}, 10)
	if err != nil || small.memory != 10 {
		t.Errorf("%+v, %v", small, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if g, err := r.acquire(short, events.UUID{2}, 10); err == nil {
		t.Errorf("%+v was taken from who is first", g)
	}
	r.release(held)
	r.release(<-first)
	r.release(small)
	if r.freeMemory != 10 || r.freeFiles != 100 {
		t.Errorf("%d and %d are free", r.freeMemory, r.freeFiles)
	}
}

// TestVersionsOfOneAccountLeaveRoomForOthers: whole documents of one account, such as
// versions that follow each other faster than they are read, take half of the room at
// most, and no other account waits with them. One alone may be larger.
func TestVersionsOfOneAccountLeaveRoomForOthers(t *testing.T) {
	r := newBudget(0, 100)
	r.wholeLimit = 50
	one, other := events.UUID{1}, events.UUID{2}
	soon := func(account events.UUID, size int64) (grant, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return r.acquire(ctx, account, size)
	}
	first, err := soon(one, 30)
	if err != nil || !r.resize(&first, 40) {
		t.Fatalf("%+v, %v", first, err)
	}
	if g, err := soon(one, 20); err == nil {
		t.Errorf("beyond its share it got %+v", g)
	}
	second, err := soon(one, 10)
	if err != nil {
		t.Errorf("within its share: %v", err)
	}
	others, err := soon(other, 50)
	if err != nil {
		t.Errorf("somebody else: %v", err)
	}
	for _, g := range []grant{first, second, others} {
		r.release(g)
	}
	alone, err := soon(one, 90)
	if err != nil {
		t.Errorf("one alone: %v", err)
	}
	r.release(alone)
	if r.freeFiles != 100 || len(r.wholes) > 0 {
		t.Errorf("%d are free, %v are held", r.freeFiles, r.wholes)
	}
}
