package export

import (
	"context"
	"errors"
	"testing"
	"time"

	"accountexport/events"
)

// held is a groupReader whose statements show themselves to the test, and last until it
// lets them go or their context ends.
type held struct {
	*groupReader
	begun chan begun
	letGo chan struct{}
}

type begun struct {
	ctx context.Context
	of  []request
}

func newHeld(connections int) *held {
	h := &held{begun: make(chan begun), letGo: make(chan struct{})}
	h.groupReader = newGroupReader(connections, func(ctx context.Context, of []request) (all []readResult, err error) {
		h.begun <- begun{ctx, of}
		for _, r := range of {
			all = append(all, readResult{body: r.account[:1]})
		}
		select {
		case <-h.letGo:
			return all, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return h
}

// ask reads account n, and checks that the result is that account's.
func (h *held) ask(t *testing.T, n byte) (answered chan struct{}) {
	answered = make(chan struct{})
	go func() {
		defer close(answered)
		if f, err := h.get(t.Context(), request{account: events.UUID{n}}); err != nil || f.body[0] != n {
			t.Errorf("account %d: %v, %v", n, f.body, err)
		}
	}()
	return answered
}

// TestSlowStatementsHoldNobodyUp: reads that come to wait while statements do not end
// go on without them, all together, as long as there are connections.
func TestSlowStatementsHoldNobodyUp(t *testing.T) {
	h := newHeld(minInFlight + 1)
	var all []chan struct{}
	for n := range byte(minInFlight) {
		all = append(all, h.ask(t, n))
		<-h.begun
	}
	for n := range byte(5) {
		all = append(all, h.ask(t, 10+n))
	}
	read := 0
	for read < 5 { // the first ones may have started before the last ones came, which then wait for a connection
		select {
		case s := <-h.begun:
			read += len(s.of)
		case <-time.After(time.Second):
			h.letGo <- struct{}{}
		}
	}
	close(h.letGo)
	for _, answered := range all {
		<-answered
	}
	if len(h.inFlight) != 0 || len(h.queue) != 0 {
		t.Errorf("%d lines are busy, %d wait", len(h.inFlight), len(h.queue))
	}
}

// TestOneReadOfAnAccountServesAllWhoAsk: however many reads ask for the same account
// at the same time, it is read once.
func TestOneReadOfAnAccountServesAllWhoAsk(t *testing.T) {
	h := newHeld(1)
	all := []chan struct{}{h.ask(t, 1)}
	<-h.begun
	for range 200 {
		all = append(all, h.ask(t, 2))
	}
	for {
		h.mu.Lock()
		n := len(h.queue)
		h.mu.Unlock()
		if n == 200 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	h.letGo <- struct{}{}
	if s := <-h.begun; len(s.of) != 1 {
		t.Errorf("it is read %d times", len(s.of))
	}
	close(h.letGo)
	for _, answered := range all {
		<-answered
	}
}

// three is a statement for three reads.
func (h *held) three() *groupStatement {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := range byte(3) {
		h.queue = append(h.queue, &groupedRead{request: request{account: events.UUID{n}}, done: make(chan struct{})})
	}
	return h.startGroup()
}

// TestStatementEndsWhenAllHaveLeft: a statement is cancelled when the last of its
// reads has left, and not before.
func TestStatementEndsWhenAllHaveLeft(t *testing.T) {
	h := newHeld(2)
	s, answers := h.three(), make(chan error)
	var leave []context.CancelFunc
	for _, a := range s.reads {
		ctx, cancel := context.WithCancel(t.Context())
		leave = append(leave, cancel)
		go func() {
			_, err := h.await(ctx, a)
			answers <- err
		}()
	}
	go h.run(s)
	statement := <-h.begun
	for i, cancel := range leave {
		if statement.ctx.Err() != nil {
			t.Errorf("it was cancelled when %d of 3 had left", i)
		}
		cancel()
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	select {
	case <-statement.ctx.Done():
	case <-time.After(10 * time.Second):
		t.Error("it goes on without anybody")
	}
}

// TestPanicIsRaisedInEachRead: a panic of a statement is raised in each of the reads
// that it was for.
func TestPanicIsRaisedInEachRead(t *testing.T) {
	h := newHeld(2)
	h.read = func(context.Context, []request) ([]readResult, error) { panic("a defect") }
	s := h.three()
	h.run(s)
	for _, a := range s.reads {
		func() {
			defer func() {
				if thrown := recover(); thrown != "a defect" {
					t.Errorf("got %v", thrown)
				}
			}()
			_, _ = h.await(t.Context(), a)
		}()
	}
}

// TestPanicOfASingleRead: a panic of a statement for one read is raised in that read,
// and other reads go on.
func TestPanicOfASingleRead(t *testing.T) {
	h := newHeld(1)
	read := h.read
	var waits chan struct{}
	h.read = func(context.Context, []request) ([]readResult, error) {
		h.read = read
		waits = h.ask(t, 2)
		for {
			h.mu.Lock()
			n := len(h.queue)
			h.mu.Unlock()
			if n == 1 {
				panic("a defect")
			}
			time.Sleep(time.Millisecond)
		}
	}
	func() {
		defer func() {
			if thrown := recover(); thrown != "a defect" {
				t.Errorf("got %v", thrown)
			}
		}()
		_, _ = h.get(t.Context(), request{})
	}()
	<-h.begun
	close(h.letGo)
	<-waits
	third := h.ask(t, 3)
	<-h.begun
	<-third
}

// TestReadsThatWaitTooLongAreRefused: a read that waits for too long is refused,
// whether or not it leaves at that moment. One whose statement has started is not.
func TestReadsThatWaitTooLongAreRefused(t *testing.T) {
	h := newHeld(1)
	first := h.ask(t, 1)
	<-h.begun
	const waiting = 50
	answers := make(chan error)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for n := range byte(waiting) {
		asks := t.Context()
		if n%2 == 0 {
			asks = ctx
		}
		go func() {
			_, err := h.get(asks, request{account: events.UUID{2 + n}})
			answers <- err
		}()
	}
	for all := false; !all; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		if all = len(h.queue) == waiting; all {
			for _, a := range h.queue {
				a.queuedAt = a.queuedAt.Add(-queueTimeout)
			}
		}
		h.mu.Unlock()
	}
	leave()
	busy := 0
	for range waiting {
		switch err := <-answers; {
		case errors.Is(err, ErrBusy):
			busy++
		case !errors.Is(err, context.Canceled):
			t.Error(err)
		}
	}
	if busy < waiting/2 {
		t.Errorf("%d were told", busy)
	}
	close(h.letGo)
	<-first
	if h.mu.Lock(); len(h.queue) != 0 {
		t.Errorf("%d wait on", len(h.queue))
	}
	h.mu.Unlock()
}

// TestSharedStatementsAreBounded: documents that are known to be long are not read
// together beyond what one statement may bring.
func TestSharedStatementsAreBounded(t *testing.T) {
	h := newHeld(2)
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := range byte(10) {
		h.queue = append(h.queue, &groupedRead{request: request{account: events.UUID{n}, document: true, shareLimit: maxWholeBytes}, done: make(chan struct{})})
	}
	for left := 10; left > 0; {
		s := h.startGroup()
		bytes := 0
		for _, a := range s.reads {
			bytes += a.shareLimit
		}
		if bytes > maxSharedBytes {
			t.Errorf("%d bytes in one statement", bytes)
		}
		left -= len(s.reads)
	}
}
