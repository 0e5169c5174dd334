package acts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// Check is why `projector run` would refuse the stream for the live generation,
// in its words; nil where it would go on. Whatever reads the stream and writes
// the read model by it asks first: another stream's messages would take the place
// of what was folded. Of accounts that are named and that the ledger of erasures
// knows, the stream has to hold the erasure; [Target.CheckAll] asks that of all.
//
// [readmodel.ErrNoGeneration] where nothing was folded yet.
func (t Target) Check(ctx context.Context, accounts ...events.UUID) error {
	info, err := t.CheckStream(ctx)
	if err != nil || len(accounts) == 0 {
		return err
	}
	those, err := admin.FindErasures(ctx, t.Pool, accounts)
	if err != nil || len(those) == 0 {
		return err
	}
	owed, err := t.owed(ctx)
	if err != nil {
		return err
	}
	for _, e := range those {
		has, err := t.holds(ctx, e, info.Partitions)
		if err != nil {
			return err
		}
		if !has || owed[e.Account] {
			return refuseLacking(e, info.Name)
		}
	}
	return nil
}

// CheckAll is [Target.Check], and holds the whole ledger of erasures against the
// stream, as `run` does at start.
func (t Target) CheckAll(ctx context.Context) error {
	if _, err := t.CheckStream(ctx); err != nil {
		return err
	}
	return t.CheckLedger(ctx)
}

// CheckStream is [Target.Check], and what was seen of the stream. What may pass is
// asked again: a leader that lags, for as long as `run` asks, and once whatever
// else a checkpoint may have moved past meanwhile.
func (t Target) CheckStream(ctx context.Context) (engine.StreamInfo, error) {
	return t.checkWithRetry(ctx, func(ctx context.Context) (readmodel.Generation, error) { return readmodel.LiveGeneration(ctx, t.Pool) })
}

// CheckGeneration is [Target.Check] for a generation that is not the live one, by
// its identity, bounds and last messages alone: one that is being built is a way
// out for a stream that has lost others.
func (t Target) CheckGeneration(ctx context.Context, number int64) error {
	t.ExtraCheck = nil
	_, err := t.checkWithRetry(ctx, func(ctx context.Context) (readmodel.Generation, error) {
		return readmodel.FindGeneration(ctx, t.Pool, number)
	})
	return err
}

func (t Target) checkWithRetry(ctx context.Context, which func(context.Context) (readmodel.Generation, error)) (info engine.StreamInfo, err error) {
	const doubt = 5 * time.Second
	for began, n := time.Now(), 0; ; n++ {
		info, err = t.refused(ctx, which)
		if !errors.Is(err, engine.ErrRefused) || n > 0 && !errors.Is(err, engine.ErrStreamBehind) || time.Since(began) > doubt {
			return info, err
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(doubt / 20):
		}
	}
}

func (t Target) refused(ctx context.Context, which func(context.Context) (readmodel.Generation, error)) (info engine.StreamInfo, err error) {
	g, err := which(ctx) // before the stream, which may have grown since
	if err != nil {
		return info, err
	}
	checkpoints, err := readmodel.Checkpoints(ctx, t.Pool, g.Number)
	if err != nil {
		return info, err
	}
	if info, err = t.Stream.Info(ctx); err != nil {
		return info, err
	}
	if err := g.CheckCompatible(info); err != nil {
		return info, err
	}
	lowest, highest := uint64(math.MaxUint64), uint64(0)
	for _, c := range checkpoints {
		lowest, highest = min(lowest, c.Position), max(highest, c.Position)
	}
	if err := Guard(ctx, t.Pool, info, g.Stream, lowest, highest); err != nil {
		return info, fmt.Errorf("%w: %w", engine.ErrRefused, err)
	}
	if err := engine.CheckLast(ctx, t.Stream, checkpoints); err != nil || t.ExtraCheck == nil {
		return info, err
	}
	return info, t.ExtraCheck(ctx, info)
}

// IsRefusal tells whether an error is a refusal of the stream, and not that it
// could not be asked.
func IsRefusal(err error) bool {
	return errors.Is(err, engine.ErrRefused) || errors.Is(err, ErrErasuresMissing)
}

// Guard is [stream.Guard], which takes a stream that begins after the checkpoint
// for one that has lost history, but for one thing: where all that is gone
// between was removed by our own erasures, as when one was carried out anew
// before anybody has folded so far, nothing is lost.
func Guard(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, have engine.StreamIdentity, lowest, highest uint64) error {
	err := stream.Guard(info, have, lowest, highest)
	if !errors.Is(err, stream.ErrHistoryLost) {
		return err
	}
	gone, lookErr := admin.WithoutRemovals(ctx, pool, info, engine.Ranges{{First: lowest + 1, Last: info.First - 1}})
	if lookErr != nil || len(gone) > 0 {
		return err // it is asked again
	}
	info.First = lowest + 1
	return stream.Guard(info, have, lowest, highest)
}
