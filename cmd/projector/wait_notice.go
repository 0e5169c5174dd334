package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// waitNotice limits how long a command waits for servers. Where the wait takes longer
// than [noticeAfter], it prints on standard error what is waited for. Its methods may
// be called by several goroutines.
type waitNotice struct {
	limit   time.Duration
	out     io.Writer
	cancel  context.CancelCauseFunc
	expired *time.Timer // cancels at the limit
	notice  *time.Timer // prints the notice

	mu      sync.Mutex // guards the fields below, and is held while the notice is printed
	what    string     // what is waited for; empty for nothing
	printed bool       // whether any notice was
}

// noticeAfter is longer than servers take that answer.
const noticeAfter = 2 * time.Second

var errWaitLimit = errors.New("the time for it is over")

// withWaitNotice returns ctx with the limit; end stops the timers.
func withWaitNotice(ctx context.Context, limit time.Duration, out io.Writer) (_ context.Context, w *waitNotice, end func()) {
	w = &waitNotice{limit: limit, out: out}
	ctx, w.cancel = context.WithCancelCause(ctx)
	w.expired = time.AfterFunc(limit, func() { w.cancel(errWaitLimit) })
	w.notice = time.AfterFunc(noticeAfter, w.print)
	return ctx, w, func() {
		w.expired.Stop()
		w.waitFor("")
		w.notice.Stop()
		w.cancel(nil)
	}
}

// waitFor is called with what is waited for from now on.
func (w *waitNotice) waitFor(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.what == what {
		return
	}
	w.what = what
	if w.printed { // the next notice only where that takes long, too
		w.notice.Reset(noticeAfter)
	}
}

func (w *waitNotice) print() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.what != "" {
		w.printed = true
		fmt.Fprintf(w.out, "waiting for %s, for at most %v\n", w.what, w.limit)
	}
}

// progressed is called when what is waited for has made progress: the limit begins
// again, since it is for servers that do not answer.
func (w *waitNotice) progressed() { w.expired.Reset(w.limit) }

// explain is err, and where the limit has ended the wait, says what was waited for.
func (w *waitNotice) explain(ctx context.Context, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), errWaitLimit) {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	text := fmt.Sprintf("gave up after %v of waiting for %s", w.limit, w.what)
	if errors.Is(err, context.Canceled) {
		return errors.New(text) // which says no more than the text
	}
	return fmt.Errorf("%s: %w", text, err)
}
