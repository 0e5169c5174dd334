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
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// gapGuard refuses a stream of which messages are missing that nobody removed. It
// asks the database only when the number of missing messages has changed since it was
// found to be explained.
type gapGuard struct {
	acts.Gaps
	log *slog.Logger

	mu      sync.Mutex // guards the fields below; guard holds it while it asks the servers, for gapCheckTimeout at most
	created time.Time  // of the stream that was found in order; zero for none
	missing uint64     // how many messages were missing of it then
	lost    int        // how many of them the server itself reported as lost
}

// forget makes the next guard ask again, however many messages are missing: the
// database may be another one, or have lost what it had on record. The engine calls
// it between two runs, when no guard is under way, so it does not wait.
func (g *gapGuard) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.created = time.Time{}
}

// resetOnRestart is an observer that forgets what was known of the database when the
// projector restarts.
type resetOnRestart struct {
	engine.Observer
	forget func()
}

// Restarted implements [engine.Observer].
func (o resetOnRestart) Restarted(f engine.Failure) {
	o.forget()
	o.Observer.Restarted(f)
}

// gapCheckTimeout bounds one check. Where it takes longer, the servers do not answer,
// which readiness says, and the check is made again.
const gapCheckTimeout = 10 * time.Second

// guard is nil where no message is missing that nobody removed. A stream that was not
// checked before is not folded until it could be; of one that was in order, a failed
// check is logged, and folding goes on.
func (g *gapGuard) guard(ctx context.Context, info engine.StreamInfo) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.created.Equal(info.Created) && info.Missing() == g.missing && len(info.Lost) == g.lost {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, gapCheckTimeout)
	defer cancel()
	l, err := g.Detect(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) {
		if err = g.RecordBaseline(ctx); err == nil {
			l, err = g.Detect(ctx, info)
		}
	}
	if errors.Is(err, admin.ErrNoLedger) {
		return err
	}
	if err != nil {
		if !g.created.Equal(info.Created) { // this stream was never in order
			return fmt.Errorf("%w: what the stream is missing: %w", engine.ErrUnverified, err)
		}
		g.log.Warn("what the stream is missing is not looked at yet", "error", err)
		return nil
	}
	if err := l.Err(); err != nil {
		return err
	}
	g.created, g.missing, g.lost = l.Info.Created, l.Info.Missing(), len(info.Lost)
	return nil
}
