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
)

// gapGuard looks for gaps whenever another number of messages is missing than at
// the last look.
type gapGuard struct {
	acts.Gaps
	log *slog.Logger

	mu      sync.Mutex
	created time.Time // of the stream that was looked at
	fine    uint64    // so many were missing there, and all was well
	lost    int       // so many it says itself it has lost, and they are accounted for
}

// forget has the next look be made whatever the stream is missing: the database
// may be another one, or have lost what it knew.
func (g *gapGuard) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.created = time.Time{}
}

// resetOnRestart is an observer that has what is believed of the database forgotten when the
// projector begins again.
type resetOnRestart struct {
	engine.Observer
	forget func()
}

// Restarted implements [engine.Observer].
func (o resetOnRestart) Restarted(reason string) {
	o.forget()
	o.Observer.Restarted(reason)
}

// lookWithin bounds a look; where it takes longer, the servers are away, which
// readiness tells, and the next look is made.
const lookWithin = 10 * time.Second

func (g *gapGuard) guard(ctx context.Context, info engine.StreamInfo) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.created.Equal(info.Created) && info.Missing() == g.fine && len(info.Lost) == g.lost {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	l, err := g.Detect(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) {
		if err = g.RecordBaseline(ctx); err == nil {
			l, err = g.Detect(ctx, info)
		}
	}
	if errors.Is(err, readmodel.ErrSchemaOutdated) {
		return err
	}
	if err != nil {
		if !g.created.Equal(info.Created) { // nothing is known of it, so nothing is folded
			return fmt.Errorf("%w: what the stream is missing: %w", engine.ErrUnverified, err)
		}
		g.log.Warn("what the stream is missing is not looked at yet", "error", err)
		return nil
	}
	if err := l.Err(); err != nil {
		return err
	}
	g.created, g.fine, g.lost = l.Info.Created, l.Info.Missing(), len(info.Lost)
	return nil
}
