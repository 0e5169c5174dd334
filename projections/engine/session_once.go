package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// What RunOnce and RunToEnd do with a session: batch after batch, in the caller's
// goroutine.

// committedPosition is the position up to which everything is committed. It reads the
// lanes' checkpoints, which is safe only because no lane runs.
func (s *session) committedPosition() uint64 {
	lowest := uint64(math.MaxUint64)
	for _, l := range s.lanes {
		for _, c := range l.checkpoints {
			lowest = min(lowest, c.Position)
		}
	}
	return lowest
}

// foldOneBatch reads, folds and commits one batch, and returns the position up to which
// everything is then committed. With a timeout other than 0 it waits no longer
// than that for a message, and otherwise does nothing.
func (s *session) foldOneBatch(ctx context.Context, timeout time.Duration) (uint64, error) {
	if s.prefetcher == nil {
		return 0, errors.New("no partition to fold")
	}
	reading, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		reading, cancel = context.WithTimeout(ctx, timeout)
	}
	messages, err := s.prefetcher.reader.Next(reading, nil, s.p.opt.Batch)
	cancel()
	if timeout > 0 && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return s.committedPosition(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errRead, err)
	}
	for l, w := range s.routeToLanes(messages) {
		w.advanceAll = true
		w.asOf = messages[len(messages)-1].Time
		if err := l.fold(ctx, *w); err != nil {
			return 0, err
		}
		if err := l.commit(ctx); err != nil {
			return 0, err
		}
	}
	return s.committedPosition(), nil
}

// advanceToEnd moves every checkpoint to the end of the stream. The caller has made
// sure that there are no messages before that end that are still to be read.
func (s *session) advanceToEnd(ctx context.Context, info StreamInfo) error {
	for _, l := range s.lanes {
		if err := l.fold(ctx, laneInput{upTo: info.Last, advanceAll: true, asOf: info.Time}); err != nil {
			return err
		}
		if err := l.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}
