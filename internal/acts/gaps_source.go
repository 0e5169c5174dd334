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

// unread are all that the server counts as there and passes over, after a
// position: who accepts one is told of all.
func (g Gaps) unread(ctx context.Context, after uint64) (passed engine.Ranges, err error) {
	source := g.Source(func(_ context.Context, _ engine.StreamInfo, those engine.Ranges) error {
		passed = passed.Union(those)
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
	for nothing := 0; after < info.Last; nothing++ {
		if _, more, err := source.FirstAfter(ctx, after); err != nil || !more {
			return passed, err
		}
		limit, cancel := context.WithTimeout(ctx, time.Second) // what was there may be removed meanwhile
		buf, err = reader.Next(limit, buf[:0], engine.Bound{Events: 4096, Bytes: 4 << 20})
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return nil, err
		}
		if len(buf) > 0 {
			after, nothing = buf[len(buf)-1].Position, 0
		}
		if nothing > 30 {
			return nil, fmt.Errorf("%w, after %d: restart the NATS server, and look again", stream.ErrUndelivered, after)
		}
	}
	return passed, nil
}

// Source is the stream as a projector reads it. Of what the server counts as
// there and passes over, told is told, once for what is not accepted as lost.
func (g Gaps) Source(told func(ctx context.Context, info engine.StreamInfo, those engine.Ranges) error) *stream.ReconcilingSource {
	return &stream.ReconcilingSource{Client: g.Stream, OnUndelivered: func(ctx context.Context, those engine.Ranges) error {
		info, err := g.Stream.Info(ctx)
		if err != nil {
			return err
		}
		known, err := admin.KnownMissing(ctx, g.Pool, info)
		if err != nil {
			return err
		}
		if those = those.Without(known); len(those) == 0 {
			return nil
		}
		return told(ctx, info, those)
	}}
}

// Refuse ends the reading, and notes why for `status` and `accept`.
func (g Gaps) Refuse(ctx context.Context, info engine.StreamInfo, those engine.Ranges) error {
	if err := admin.SetUndelivered(ctx, g.Pool, info, those); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrRefused, stream.UndeliveredMessages(info.Name, those))
}
