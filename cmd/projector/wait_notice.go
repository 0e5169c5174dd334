package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// waitNotice bounds what waits for servers, and says on standard error for what,
// where that takes longer than a moment. Its methods are for several goroutines.
type waitNotice struct {
	limit  time.Duration
	out    io.Writer
	cancel context.CancelCauseFunc
	over   *time.Timer // the limit

	mu   sync.Mutex
	what string
	said bool
	say  *time.Timer // what is waited for
}

// sayAfter is more than servers that answer take.
const sayAfter = 2 * time.Second

var errOver = errors.New("the time for it is over")

// withWaitNotice is ctx with a limit; end frees it.
func withWaitNotice(ctx context.Context, limit time.Duration, out io.Writer) (_ context.Context, w *waitNotice, end func()) {
	w = &waitNotice{limit: limit, out: out}
	ctx, w.cancel = context.WithCancelCause(ctx)
	w.over = time.AfterFunc(limit, func() { w.cancel(errOver) })
	w.say = time.AfterFunc(sayAfter, w.tell)
	return ctx, w, func() {
		w.over.Stop()
		w.waits("")
		w.say.Stop()
		w.cancel(nil)
	}
}

// waits is told what is waited for from now on.
func (w *waitNotice) waits(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.what == what {
		return
	}
	w.what = what
	if w.said { // what comes next may not take long
		w.say.Reset(sayAfter)
	}
}

func (w *waitNotice) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.what != "" {
		w.said = true
		fmt.Fprintf(w.out, "waiting for %s, for at most %v\n", w.what, w.limit)
	}
}

// goes is told that what is waited for goes on: the limit is for what does not.
func (w *waitNotice) goes() { w.over.Reset(w.limit) }

// explain says what was waited for in vain, where the limit is what ended it.
func (w *waitNotice) explain(ctx context.Context, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), errOver) {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	text := fmt.Sprintf("gave up after %v of waiting for %s", w.limit, w.what)
	if errors.Is(err, context.Canceled) {
		return errors.New(text) // that it was cut off is no news
	}
	return fmt.Errorf("%s: %w", text, err)
}
