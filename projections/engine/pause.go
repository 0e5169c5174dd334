package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrPaused means that an operator has paused projecting: nothing was written, and
// nothing will be until it is resumed.
var ErrPaused = errors.New("projecting is paused")

// Pause describes a pause, and how far projecting had come.
type Pause struct {
	Since time.Time
	By    string
	Note  string // empty: none

	// The live generation and its progress; all zero where there is none yet.
	Generation int64
	Lowest     uint64    // the lowest of its checkpoints
	AsOf       time.Time // of the checkpoint that Lowest is of
}

// String says since when projecting is paused, by whom, and why.
func (p *Pause) String() string {
	s := fmt.Sprintf("since %s, by %s", p.Since.UTC().Format(time.RFC3339), p.By)
	if p.Note != "" {
		s += " (" + p.Note + ")"
	}
	return s
}

// Err is [ErrPaused] with what is known of the pause, and the command that ends it.
func (p *Pause) Err() error { return PausedError(p.String()) }

// PausedError is [ErrPaused] with the description that [Pause.String] gives, and the
// command that ends the pause.
func PausedError(description string) error {
	return fmt.Errorf("%w %s: `projector resume` ends that", ErrPaused, description)
}

// awaitResume waits until projecting is no longer paused, or ctx ends, and returns nil
// in both cases. There is no session meanwhile. The store is asked in the rhythm of
// heartbeats, which keeps this replica among the live ones, and the observer is told
// how far the stream's end is ahead of the checkpoints. An error means that the
// store could not be asked.
func (p *Projector) awaitResume(ctx context.Context) error {
	for logged := false; ; logged = true {
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
		if !logged {
			p.opt.Logger.Info("projecting is paused", "since", pause.Since.UTC(), "by", pause.By, "note", pause.Note, "position", pause.Lowest)
		}
		// Where the stream cannot be asked, the observer gets no information on it,
		// and the pause goes on: an outage of the stream may be why there is one.
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

// awaitChange waits until the store announces a change, the next question is due, or
// ctx ends. Where the last one took long, the next comes later, as with heartbeats.
func (p *Projector) awaitChange(ctx context.Context, took time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, min(max(p.opt.HeartbeatInterval, took), 2*p.opt.HeartbeatInterval))
	defer cancel()
	if p.store.AwaitRebalance(ctx) != nil {
		<-ctx.Done()
	}
}
