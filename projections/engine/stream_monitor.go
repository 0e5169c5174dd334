package engine

import (
	"context"
	"fmt"
	"time"
)

// catchUpLag is the lag, in positions, from which on a projector counts as catching
// up: it is then worth waiting for more to write at once, see [Options.Linger].
const catchUpLag = 20_000

// streamSample is one observation of the stream's end and of how far reading had come.
type streamSample struct {
	info         StreamInfo
	readerEpoch  uint64 // session.readerEpoch and session.readPosition, from before info was asked for
	readPosition uint64
	drained      bool // there is no message between readPosition and the end
}

// monitorStream samples the stream's end, at once and then every [Options.LagInterval].
// With each sample it has the guard check the stream, logs deviations from the
// contract, and sends the sample to dispatch, which moves the checkpoints of idle
// partitions on. It returns errStalled where messages wait and reading has not
// moved for [Options.StallTimeout], though the lanes have room.
func (s *session) monitorStream(ctx context.Context) error {
	ticker := time.NewTicker(s.p.opt.LagInterval)
	defer ticker.Stop()
	var before streamSample
	moved := time.Now()
	drained := 0 // samples in a row that found no message left to read
	for first := true; ; first = false {
		if !first {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
			}
		}
		now := streamSample{readerEpoch: s.readerEpoch.Load(), readPosition: s.readPosition.Load()}
		caughtUpTo := s.caughtUpTo.Load()
		var err error
		if now.info, err = s.p.source.Info(ctx); err != nil {
			return fmt.Errorf("stream info: %w: %w", errRead, err)
		}
		owned := s.owned.Load() > 0
		if !owned || now.readerEpoch != s.readerEpoch.Load() {
			caughtUpTo = 0
		}
		// Everything up to caughtUpTo was in the stream, so the stream may neither
		// end before it nor begin after it.
		if now.info, err = s.guard(ctx, now.info, caughtUpTo, caughtUpTo); err != nil {
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
				drained = 0
			} else {
				drained++
			}
			// The rest was purged. That is believed only in the second sample in a
			// row, since the stream may change its leader between two requests.
			now.drained = drained >= 2
			if !now.drained && same && time.Since(moved) > s.p.opt.StallTimeout && s.queuesEmpty() {
				return fmt.Errorf("%w: message %d waits since %s", errStalled, next, moved.Format(time.RFC3339))
			}
		}
		s.p.opt.Observer.StreamEnd(now.info)
		select {
		case s.streamSamples <- now:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// logDeviations logs, once for each change, which settings of the stream deviate from
// the contract. Nothing is lost by them yet, so the projector goes on.
func (p *Projector) logDeviations(now []Deviation) {
	deviations := make(map[string]Deviation, len(now))
	for _, d := range now {
		deviations[d.What] = d
		if p.deviations[d.What] != d {
			p.opt.Logger.Warn("the stream is off the contract; nothing is lost by it yet", "what", d.What, "is", d.Have, "want", d.Want)
		}
	}
	for what := range p.deviations {
		if _, still := deviations[what]; !still {
			p.opt.Logger.Info("the stream is as the contract wants it again", "what", what)
		}
	}
	p.deviations = deviations
}

// queuesEmpty reports whether the lanes have received everything that was read, so
// that they wait for the reader and not the reader for them.
func (s *session) queuesEmpty() bool {
	for _, ch := range s.in {
		if len(ch) > 0 {
			return false
		}
	}
	return true
}

// checkpointIdle moves the checkpoint of every owned partition on to where reading has
// come, or to the stream's end where nothing is left to read. So an idle partition
// does not hold back what a reader waits for, and its "as of" time goes on.
func (s *session) checkpointIdle(ctx context.Context, sample streamSample) error {
	if s.prefetcher == nil {
		return nil
	}
	upTo, asOf := s.readPosition.Load(), s.readAsOf
	switch {
	case upTo >= sample.info.Last:
		asOf = sample.info.Time
	case sample.drained && upTo == sample.readPosition && s.readerEpoch.Load() == sample.readerEpoch:
		upTo, asOf = sample.info.Last, sample.info.Time
		s.caughtUpTo.Store(max(upTo, s.caughtUpTo.Load()))
	}
	for _, lane := range s.lanes {
		if err := s.send(ctx, lane, laneInput{upTo: upTo, advanceAll: true, asOf: asOf}); err != nil {
			return err
		}
	}
	return nil
}
