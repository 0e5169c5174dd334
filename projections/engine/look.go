package engine

import (
	"context"
	"fmt"
	"time"
)

// farBehind is so many positions that waiting to write more at once pays.
const farBehind = 20_000

// look is what was seen of the stream's end.
type look struct {
	info   StreamInfo
	turn   uint64 // of reading, and how far it was, when it was looked
	read   uint64
	nobody bool // no message is left between there and the end
}

// tick looks at the stream's end: it has the checkpoints of idle partitions
// moved on, holds the stream against what was read of it, and notices when
// messages wait and reading stands still.
func (s *session) tick(ctx context.Context) error {
	ticker := time.NewTicker(s.p.opt.Tick)
	defer ticker.Stop()
	var before look
	moved := time.Now()
	gone := 0 // looks in a row that found nothing left to read
	for first := true; ; first = false {
		if !first {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
			}
		}
		now := look{turn: s.turn.Load(), read: s.read.Load()}
		passed := s.passed.Load()
		var err error
		if now.info, err = s.p.source.Info(ctx); err != nil {
			return fmt.Errorf("stream info: %w: %w", errRead, err)
		}
		owned := s.owned.Load() > 0
		if !owned || now.turn != s.turn.Load() {
			passed = 0
		}
		// What was read was there, so the stream may not end before it, nor
		// begin after it.
		if now.info, err = s.guard(ctx, now.info, passed, passed); err != nil {
			return err
		}
		s.p.tellOff(now.info.Off)
		s.behind.Store(now.read+farBehind < now.info.Last)
		if now.read != before.read || now.turn != before.turn || !owned {
			moved = time.Now()
		}
		before = now
		if owned && now.read < now.info.Last {
			next, more, err := s.p.source.First(ctx, now.read)
			if err != nil {
				return fmt.Errorf("look for the next message: %w: %w", errRead, err)
			}
			same := s.read.Load() == now.read && s.turn.Load() == now.turn
			if more && next <= now.info.Last || !same {
				gone = 0
			} else {
				gone++
			}
			// What was there was purged. Seen twice, since a stream may change
			// its leader between two questions.
			now.nobody = gone >= 2
			if !now.nobody && same && time.Since(moved) > s.p.opt.StallAfter && s.idle() {
				return fmt.Errorf("%w: message %d waits since %s", errStalled, next, moved.Format(time.RFC3339))
			}
		}
		s.p.opt.Observer.Looked(now.info)
		select {
		case s.looks <- now:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tellOff tells, once for each change, which settings of the stream are not as
// the contract wants them. Nothing is lost by them yet, so the projector goes on.
func (p *Projector) tellOff(now []Deviation) {
	off := make(map[string]Deviation, len(now))
	for _, d := range now {
		off[d.What] = d
		if p.off[d.What] != d {
			p.opt.Logger.Warn("the stream is off the contract; nothing is lost by it yet", "what", d.What, "is", d.Have, "want", d.Want)
		}
	}
	for what := range p.off {
		if _, still := off[what]; !still {
			p.opt.Logger.Info("the stream is as the contract wants it again", "what", what)
		}
	}
	p.off = off
}

// idle tells whether the lanes have taken all that was read, so that it is the
// reader that keeps them waiting.
func (s *session) idle() bool {
	for _, ch := range s.in {
		if len(ch) > 0 {
			return false
		}
	}
	return true
}

// look moves every owned partition's checkpoint on to where reading is, or to
// the stream's end where nothing is left to read.
func (s *session) look(ctx context.Context, l look) error {
	if s.feed == nil {
		return nil
	}
	upTo, asOf := s.read.Load(), s.readAt
	switch {
	case upTo >= l.info.Last:
		asOf = l.info.Time
	case l.nobody && upTo == l.read && s.turn.Load() == l.turn:
		upTo, asOf = l.info.Last, l.info.Time
		s.passed.Store(max(upTo, s.passed.Load()))
	}
	for _, lane := range s.lanes {
		if err := s.send(ctx, lane, work{upTo: upTo, all: true, asOf: asOf}); err != nil {
			return err
		}
	}
	return nil
}
