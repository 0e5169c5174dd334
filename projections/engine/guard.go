package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Guard compares a stream with what was folded from it. lowest and highest are
// the lowest and the highest position up to which the owned partitions were read,
// 0 where none is owned. It is called before reading starts and with every lag
// sample, and what it returns decides what happens next:
//
//   - nil: the projector goes on.
//   - [ErrUnverified]: there is no verdict yet. The session ends, nothing is
//     folded, and the guard is asked again after the backoff.
//   - [ErrStreamBehind]: believed only if the guard still says so after
//     [Options.StreamBehindTimeout]; then it is as any other error.
//   - any other error: the projector stops with [ErrRefused], which wraps it.
type Guard func(info StreamInfo, have StreamIdentity, lowest, highest uint64) error

// guard asks the guard, and returns the stream information that it accepted. A
// follower of a replicated stream may answer before it has stored what its leader
// has delivered, above all during a leader election; that is why
// [ErrStreamBehind] has to persist before it is believed.
func (s *session) guard(ctx context.Context, info StreamInfo, lowest, highest uint64) (StreamInfo, error) {
	began, folded := time.Now(), s.p.folded.get()
	for again := false; ; again = true {
		err := s.p.opt.Guard(info, s.own.Stream, lowest, highest)
		if err == nil && again {
			return info, folded.check(ctx, s.p.source) // the stream may have lost its end and grown again meanwhile
		}
		if err == nil {
			return info, nil
		}
		if errors.Is(err, ErrUnverified) {
			return info, err
		}
		if !errors.Is(err, ErrStreamBehind) || time.Since(began) >= s.p.opt.StreamBehindTimeout {
			return info, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(s.p.opt.StreamBehindTimeout / 50):
		}
		if info, err = s.p.source.Info(ctx); err != nil {
			return info, fmt.Errorf("stream info: %w: %w", errRead, err)
		}
	}
}
