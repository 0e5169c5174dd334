package readmodel

import (
	"context"
	"errors"
	"testing"
	"time"

	"accountexport/events"
)

// held is a gather whose reads alone last until they are let go, and whose
// statements for several are shown to the test.
type held struct {
	gather
	letGo     chan struct{}
	begun     chan events.UUID
	statement chan context.Context // of a statement for several
}

func newHeld() *held {
	h := &held{letGo: make(chan struct{}), begun: make(chan events.UUID), statement: make(chan context.Context)}
	h.alone = func(ctx context.Context, account events.UUID) (found, error) {
		h.begun <- account
		<-h.letGo
		return found{body: account[:1]}, nil
	}
	h.several = func(ctx context.Context, accounts []events.UUID) (map[events.UUID]found, error) {
		h.statement <- ctx
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h
}

func TestReadThatMeetsASlowOneGoesByItself(t *testing.T) {
	h := newHeld()
	answers := make(chan byte)
	ask := func(n byte) {
		go func() {
			f, err := h.get(t.Context(), events.UUID{n})
			if err != nil {
				t.Error(err)
			}
			answers <- f.body[0]
		}()
		<-h.begun // alone, though two statements and more are under way
	}
	for n := range byte(5) {
		ask(n)
	}
	close(h.letGo)
	for range 5 {
		<-answers
	}
	if h.busy != 0 || len(h.waiting) != 0 {
		t.Errorf("%d lines are busy, %d wait", h.busy, len(h.waiting))
	}
}

// three is a statement for three reads.
func (h *held) three() *together {
	for n := range byte(3) {
		h.waiting = append(h.waiting, &asked{account: events.UUID{n}, done: make(chan struct{})})
	}
	h.busy = gatherLines
	return h.take()
}

func TestStatementEndsWhenAllHaveLeft(t *testing.T) {
	h := newHeld()
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
	go h.read(s)
	statement := <-h.statement
	for i, cancel := range leave {
		if statement.Err() != nil {
			t.Errorf("it has ended when %d of 3 have left", i)
		}
		cancel()
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	select {
	case <-statement.Done():
	case <-time.After(10 * time.Second):
		t.Error("it goes on without anybody")
	}
}

func TestPanicComesToWhoAsked(t *testing.T) {
	h := newHeld()
	h.several = func(context.Context, []events.UUID) (map[events.UUID]found, error) { panic("a defect") }
	s := h.three()
	h.read(s)
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
