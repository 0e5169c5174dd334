package export

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// liveness is when the database answered last. A turn that does not come is the
// fault of other reads, and not of the database, only where the database answered
// any read meanwhile: one that has fallen silent keeps all connections to it in
// use.
type liveness struct {
	start      time.Time    // never changed; before the first answer
	lastAnswer atomic.Int64 // nanoseconds after start; 0: none yet
}

func newLiveness() *liveness { return &liveness{start: time.Now()} }

// answered notes that the database has just answered.
func (l *liveness) answered() { l.lastAnswer.Store(int64(time.Since(l.start))) }

// answeredSince tells whether the database has answered since a time.
func (l *liveness) answeredSince(since time.Time) bool {
	last := l.lastAnswer.Load()
	return last > 0 && last > int64(since.Sub(l.start))
}

// timeoutError is the error of a read whose turn has not come since a time.
func (l *liveness) timeoutError(since time.Time) error {
	if l.answeredSince(since) {
		return ErrBusy
	}
	return fmt.Errorf("%w: nobody had an answer meanwhile", ErrTimeout)
}

// classify is err, but for an [ErrBusy] of a read whose turn has not come since a
// time: that is [liveness.timeoutError].
func (l *liveness) classify(err error, since time.Time) error {
	if errors.Is(err, ErrBusy) {
		return l.timeoutError(since)
	}
	return err
}
