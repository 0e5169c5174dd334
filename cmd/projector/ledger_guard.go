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

// ledgerGuard is a [engine.Guard] that also holds the ledger of erasures
// against the stream: at start, before anything is folded, and whenever the
// connection was made anew or the stream is another or has lost its end, since
// it may have been restored meanwhile. Until that is done nothing is folded.
type ledgerGuard struct {
	ctx    context.Context
	on     acts.Target
	log    *slog.Logger
	gaps   *gapGuard
	within time.Duration // that one call takes at most; default 10 s

	mu       sync.Mutex
	checked  seenStream // compared with the ledger, and found to have all
	at       seenStream // being compared
	compare  func(context.Context) error
	told     time.Time
	compared int
}

// seenStream is what tells that a stream may have been restored.
type seenStream struct {
	connections uint64
	created     time.Time
	last        uint64
}

func (s seenStream) same(now seenStream) bool {
	return s.connections == now.connections && s.created.Equal(now.created) && s.last <= now.last
}

func (l *ledgerGuard) guard(info engine.StreamInfo, have engine.StreamIdentity, lowest, highest uint64) error {
	// Who has to accept the stream does that first.
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
	now := seenStream{l.on.Stream.ConnectCount(), info.Created, info.Last}
	if l.checked.same(now) {
		l.checked.last = now.last
		return nil
	}
	return l.ledger(now)
}

// ledger compares for a while, and ends with [engine.ErrUnverified] where that
// is not enough: the next call goes on where this one was, on the same stream.
func (l *ledgerGuard) ledger(now seenStream) error {
	if l.compare == nil || !l.at.same(now) {
		l.at, l.told, l.compared = now, time.Now(), 0
		comparing := &acts.LedgerChecker{Target: l.on, Each: l.tell}
		l.compare = func(ctx context.Context) error {
			// A stream that has lost its end, and has grown again, is refused for that.
			if _, err := l.on.CheckStream(ctx); acts.IsRefusal(err) {
				return err
			}
			return comparing.Check(ctx)
		}
	}
	within := l.within
	if within == 0 {
		within = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(l.ctx, within)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := l.compare(ctx)
		if err == nil {
			l.checked, l.compare = l.at, nil
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

// tell says how far it is.
func (l *ledgerGuard) tell(compared int) {
	l.compared = compared
	if time.Since(l.told) > 5*time.Second {
		l.told = time.Now()
		l.log.Info("comparing the ledger of erasures with the stream; nothing is folded before that is done", "compared", compared)
	}
}
