package acts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// findUndelivered reads the stream after a position, and returns all messages that the
// server counts as present and skips, so that whoever accepts one of them sees all.
func (g Gaps) findUndelivered(ctx context.Context, after uint64) (passed engine.Ranges, err error) {
	source := g.Source(func(_ context.Context, _ engine.StreamInfo, positions engine.Ranges) error {
		passed = passed.Union(positions)
		return nil
	})
	info, err := g.Stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	reader, err := source.Open(ctx, after)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var buf []projections.Message
	for emptyReads := 0; after < info.Last; emptyReads++ {
		if _, more, err := source.FirstAfter(ctx, after); err != nil || !more {
			return passed, err
		}
		limit, cancel := context.WithTimeout(ctx, time.Second) // a message that was there may be removed meanwhile
		buf, err = reader.Next(limit, buf[:0], engine.Bound{Events: 4096, Bytes: 4 << 20})
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return nil, err
		}
		if len(buf) > 0 {
			after, emptyReads = buf[len(buf)-1].Position, 0
		}
		if emptyReads > 30 {
			return nil, fmt.Errorf("%w, after %d: restart the NATS server, and look again", stream.ErrUndelivered, after)
		}
	}
	return passed, nil
}

// Source is the stream as a projector reads it. When the server skips messages that it
// counts as present, onUndelivered is called with those that were not accepted as lost.
// An error ends the reading right before them; with nil it goes on without them.
func (g Gaps) Source(onUndelivered func(ctx context.Context, info engine.StreamInfo, positions engine.Ranges) error) *stream.ReconcilingSource {
	return &stream.ReconcilingSource{Client: g.Stream, OnUndelivered: func(ctx context.Context, positions engine.Ranges) error {
		info, err := g.Stream.Info(ctx)
		if err != nil {
			return err
		}
		known, err := admin.KnownMissing(ctx, g.Pool, info)
		if err != nil {
			return err
		}
		if positions = positions.Without(known); len(positions) == 0 {
			return nil
		}
		return onUndelivered(ctx, info, positions)
	}}
}

// Refuse is an onUndelivered of [Gaps.Source] that ends the reading, and records the
// positions for `projector status` and `projector accept`.
func (g Gaps) Refuse(ctx context.Context, info engine.StreamInfo, positions engine.Ranges) error {
	if err := admin.SetUndelivered(ctx, g.Pool, info, positions); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrRefused, stream.UndeliveredMessages(info.Name, positions))
}
