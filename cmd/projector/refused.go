package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// refused is why `projector run` would refuse the stream, and nil where it
// would go on: what `run` judges at start.
func refused(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) (projections.StreamInfo, error) {
	st, err := readmodel.Inspect(ctx, pool) // before the stream, which may have grown since
	if err != nil {
		return projections.StreamInfo{}, err
	}
	info, err := client.Info(ctx)
	if err != nil {
		return info, err
	}
	if err := st.Generation.Accepts(info); err != nil {
		return info, err
	}
	lowest, highest := uint64(math.MaxUint64), uint64(0)
	for _, c := range st.Partitions {
		lowest, highest = min(lowest, c.Position), max(highest, c.Position)
	}
	if err := guard(ctx, pool, info, st.Generation.Stream, lowest, highest); err != nil {
		return info, fmt.Errorf("%w: %w", projections.ErrRefused, err)
	}
	var checkpoints []projections.Checkpoint
	for _, c := range st.Partitions {
		checkpoints = append(checkpoints, c.Checkpoint)
	}
	return info, projections.CheckLast(ctx, client, checkpoints)
}

// refusedForSure asks again what may pass: a leader that lags, for as long as
// `run` asks, and once whatever else a checkpoint may have moved past meanwhile.
func refusedForSure(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) (info projections.StreamInfo, err error) {
	const doubt = 5 * time.Second
	for began, n := time.Now(), 0; ; n++ {
		info, err = refused(ctx, client, pool)
		if !errors.Is(err, projections.ErrRefused) || n > 0 && !errors.Is(err, projections.ErrBehind) || time.Since(began) > doubt {
			return info, err
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(doubt / 20):
		}
	}
}
