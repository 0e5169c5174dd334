package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrPaused means that an operator has projecting stand still: nothing was
// written, and nothing will be until that ends.
var ErrPaused = errors.New("projecting is paused")

// Pause is what the store knows while projecting is paused.
type Pause struct {
	Since time.Time
	By    string
	Note  string // empty: none

	// How far the live generation is; 0 where there is none yet.
	Generation int64
	Lowest     uint64    // the lowest of its checkpoints
	AsOf       time.Time // of that one
}

// String says since when and by whom.
func (p *Pause) String() string {
	s := fmt.Sprintf("since %s, by %s", p.Since.UTC().Format(time.RFC3339), p.By)
	if p.Note != "" {
		s += " (" + p.Note + ")"
	}
	return s
}

// Err is [ErrPaused] with what is known, and what ends it.
func (p *Pause) Err() error { return PausedError(p.String()) }

// PausedError is [ErrPaused] with such a text, and what ends it.
func PausedError(since string) error {
	return fmt.Errorf("%w %s: `projector resume` ends that", ErrPaused, since)
}

// awaitResume waits until projecting is no longer paused, or ctx ends. Nothing is in
// memory meanwhile but this; the other replicas are told that this one lives,
// and the observer how far behind the stream's end everything stands.
func (p *Projector) awaitResume(ctx context.Context) error {
	for said := false; ; said = true {
		began := time.Now()
		pause, err := p.store.Paused(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("look whether projecting is still paused: %w", err)
		case pause == nil:
			p.opt.Observer.Paused(nil, StreamInfo{})
			p.opt.Logger.Info("projecting goes on")
			return nil
		}
		if !said {
			p.opt.Logger.Info("projecting is paused", "since", pause.Since.UTC(), "by", pause.By, "note", pause.Note, "position", pause.Lowest)
		}
		// Where the stream cannot be asked, its end is as it was: it may be what
		// the pause is for.
		asking, cancel := context.WithTimeout(ctx, p.opt.HeartbeatInterval)
		info, err := p.source.Info(asking)
		cancel()
		if err != nil {
			info = StreamInfo{}
		}
		p.opt.Observer.Paused(pause, info)
		p.awaitChange(ctx, time.Since(began))
	}
}

// awaitChange waits until others tell that something has changed, or it is time to look
// again, or ctx ends.
func (p *Projector) awaitChange(ctx context.Context, took time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, min(max(p.opt.HeartbeatInterval, took), 2*p.opt.HeartbeatInterval))
	defer cancel()
	if p.store.AwaitRebalance(ctx) != nil {
		<-ctx.Done()
	}
}
