package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"accountexport/internal/acts"
	"accountexport/projections/engine"
)

// ledgerGuard is an [engine.Guard] that also compares the ledger of erasures with
// the stream: at start, before anything is folded, and again whenever the connection
// was made again, the stream is another or it has lost its end, since it may have been
// restored from a backup meanwhile. Until the comparison is done nothing is folded.
type ledgerGuard struct {
	ctx     context.Context
	on      acts.Target
	log     *slog.Logger
	gaps    *gapGuard     // nil: gaps are not looked for
	timeout time.Duration // how long one call may take; default 10 s

	mu       sync.Mutex                  // guards the fields below; guard holds it while it compares, for timeout at most
	checked  streamSeen                  // the stream that was found to hold all erasures
	under    streamSeen                  // the stream that is being compared
	compare  func(context.Context) error // goes on with the comparison; nil where none is under way
	logged   time.Time                   // when progress was logged last
	compared int                         // entries of the ledger
}

// streamSeen is what has to be the same for a stream not to have been restored.
type streamSeen struct {
	connections uint64
	created     time.Time
	last        uint64
}

// same tells whether the stream cannot have been restored between s and now.
func (s streamSeen) same(now streamSeen) bool {
	return s.connections == now.connections && s.created.Equal(now.created) && s.last <= now.last
}

// guard is the [engine.Guard].
func (l *ledgerGuard) guard(info engine.StreamInfo, have engine.StreamIdentity, lowest, highest uint64) error {
	// A stream that has to be accepted is refused for that first.
	if err := acts.Guard(l.ctx, l.on.Pool, info, have, lowest, highest); err != nil {
		return err
	}
	if l.gaps != nil {
		if err := l.gaps.guard(l.ctx, info); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := streamSeen{l.on.Stream.ConnectCount(), info.Created, info.Last}
	if l.checked.same(now) {
		l.checked.last = now.last
		return nil
	}
	return l.compareLedger(now)
}

// compareLedger compares until the timeout, and then ends with
// [engine.ErrUnverified]: the next call on the same stream goes on from there.
func (l *ledgerGuard) compareLedger(now streamSeen) error {
	if l.compare == nil || !l.under.same(now) {
		l.under, l.logged, l.compared = now, time.Now(), 0
		checker := &acts.LedgerChecker{Target: l.on, OnProgress: l.progress}
		l.compare = func(ctx context.Context) error {
			// A stream that has lost its end and has grown again since is refused for that.
			if _, err := l.on.CheckStream(ctx); acts.IsRefusal(err) {
				return err
			}
			return checker.Check(ctx)
		}
	}
	timeout := l.timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := l.compare(ctx)
		if err == nil {
			l.checked, l.compare = l.under, nil
			return nil
		}
		if acts.IsRefusal(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %d entries of the ledger of erasures are compared with stream %s: %w", engine.ErrUnverified, l.compared,
				l.on.Stream.Stream(), errors.Join(l.ctx.Err(), err))
		case <-time.After(wait):
		}
	}
}

// progress logs how far the comparison is, at most every five seconds.
func (l *ledgerGuard) progress(compared int) {
	l.compared = compared
	if time.Since(l.logged) > 5*time.Second {
		l.logged = time.Now()
		l.log.Info("comparing the ledger of erasures with the stream; nothing is folded before that is done", "compared", compared)
	}
}
