package engine

import (
	"context"
	"fmt"
	"time"
)

// catchUpLag is so many positions that waiting to write more at once pays.
const catchUpLag = 20_000

// lagSample is what was seen of the stream's end.
type lagSample struct {
	info         StreamInfo
	readerEpoch  uint64 // of reading, and how far it was, when it was looked
	readPosition uint64
	drained      bool // no message is left between there and the end
}

// monitorLag looks at the stream's end: it has the checkpoints of idle partitions
// moved on, holds the stream against what was read of it, and notices when
// messages wait and reading stands still.
func (s *session) monitorLag(ctx context.Context) error {
	ticker := time.NewTicker(s.p.opt.LagInterval)
	defer ticker.Stop()
	var before lagSample
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
		now := lagSample{readerEpoch: s.readerEpoch.Load(), readPosition: s.readPosition.Load()}
		passed := s.caughtUpTo.Load()
		var err error
		if now.info, err = s.p.source.Info(ctx); err != nil {
			return fmt.Errorf("stream info: %w: %w", errRead, err)
		}
		owned := s.owned.Load() > 0
		if !owned || now.readerEpoch != s.readerEpoch.Load() {
			passed = 0
		}
		// What was read was there, so the stream may not end before it, nor
		// begin after it.
		if now.info, err = s.guard(ctx, now.info, passed, passed); err != nil {
			return err
		}
		s.p.logDeviations(now.info.Deviations)
		s.catchingUp.Store(now.readPosition+catchUpLag < now.info.Last)
		if now.readPosition != before.readPosition || now.readerEpoch != before.readerEpoch || !owned {
			moved = time.Now()
		}
		before = now
		if owned && now.readPosition < now.info.Last {
			next, more, err := s.p.source.FirstAfter(ctx, now.readPosition)
			if err != nil {
				return fmt.Errorf("look for the next message: %w: %w", errRead, err)
			}
			same := s.readPosition.Load() == now.readPosition && s.readerEpoch.Load() == now.readerEpoch
			if more && next <= now.info.Last || !same {
				gone = 0
			} else {
				gone++
			}
			// What was there was purged. Seen twice, since a stream may change
			// its leader between two questions.
			now.drained = gone >= 2
			if !now.drained && same && time.Since(moved) > s.p.opt.StallTimeout && s.queuesEmpty() {
				return fmt.Errorf("%w: message %d waits since %s", errStalled, next, moved.Format(time.RFC3339))
			}
		}
		s.p.opt.Observer.HighWaterMark(now.info)
		select {
		case s.lagSamples <- now:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// logDeviations tells, once for each change, which settings of the stream are not as
// the contract wants them. Nothing is lost by them yet, so the projector goes on.
func (p *Projector) logDeviations(now []Deviation) {
	off := make(map[string]Deviation, len(now))
	for _, d := range now {
		off[d.What] = d
		if p.deviations[d.What] != d {
			p.opt.Logger.Warn("the stream is off the contract; nothing is lost by it yet", "what", d.What, "is", d.Have, "want", d.Want)
		}
	}
	for what := range p.deviations {
		if _, still := off[what]; !still {
			p.opt.Logger.Info("the stream is as the contract wants it again", "what", what)
		}
	}
	p.deviations = off
}

// queuesEmpty tells whether the lanes have taken all that was read, so that it is the
// reader that keeps them waiting.
func (s *session) queuesEmpty() bool {
	for _, ch := range s.in {
		if len(ch) > 0 {
			return false
		}
	}
	return true
}

// checkpointIdle moves every owned partition's checkpoint on to where reading is, or to
// the stream's end where nothing is left to read.
func (s *session) checkpointIdle(ctx context.Context, l lagSample) error {
	if s.prefetcher == nil {
		return nil
	}
	upTo, asOf := s.readPosition.Load(), s.readAsOf
	switch {
	case upTo >= l.info.Last:
		asOf = l.info.Time
	case l.drained && upTo == l.readPosition && s.readerEpoch.Load() == l.readerEpoch:
		upTo, asOf = l.info.Last, l.info.Time
		s.caughtUpTo.Store(max(upTo, s.caughtUpTo.Load()))
	}
	for _, lane := range s.lanes {
		if err := s.send(ctx, lane, laneInput{upTo: upTo, advanceAll: true, asOf: asOf}); err != nil {
			return err
		}
	}
	return nil
}
