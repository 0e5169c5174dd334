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

// Check returns why `projector run` would refuse the stream for the live generation, in
// the same words, and nil where it would go on. Every act that reads the stream and
// writes the read model by it checks first: messages of another stream would replace
// what was folded. Of the given accounts that are on the ledger of erasures, the stream
// has to hold the erasure; [Target.CheckAll] asks that of the whole ledger.
//
// The error is [readmodel.ErrNoGeneration] where nothing was folded yet.
func (t Target) Check(ctx context.Context, accounts ...events.UUID) error {
	info, err := t.CheckStream(ctx)
	if err != nil || len(accounts) == 0 {
		return err
	}
	erasures, err := admin.FindErasures(ctx, t.Pool, accounts)
	if err != nil || len(erasures) == 0 {
		return err
	}
	pending, err := t.pendingRedo(ctx)
	if err != nil {
		return err
	}
	for _, e := range erasures {
		has, err := t.holdsErasure(ctx, e, info.Partitions)
		if err != nil {
			return err
		}
		if !has || pending[e.Account] {
			return erasureMissing(e, info.Name)
		}
	}
	return nil
}

// CheckAll is [Target.Check], and compares the whole ledger of erasures with the
// stream, as `projector run` does at start.
func (t Target) CheckAll(ctx context.Context) error {
	if _, err := t.CheckStream(ctx); err != nil {
		return err
	}
	return t.CheckLedger(ctx)
}

// CheckStream is [Target.Check] without accounts, and returns what the stream answered.
// Refusals that may pass are checked again: a leader that lags behind, for as long as
// `projector run` does, and every other one once, since a checkpoint may have moved
// between the two answers.
func (t Target) CheckStream(ctx context.Context) (engine.StreamInfo, error) {
	return t.checkWithRetry(ctx, func(ctx context.Context) (readmodel.Generation, error) { return readmodel.LiveGeneration(ctx, t.Pool) })
}

// CheckGeneration is [Target.Check] for a generation that is not the live one. It
// compares identity, bounds and last messages only: where the stream has lost other
// messages, a generation that is being built from it is the way out.
func (t Target) CheckGeneration(ctx context.Context, number int64) error {
	t.ExtraCheck = nil
	_, err := t.checkWithRetry(ctx, func(ctx context.Context) (readmodel.Generation, error) {
		return readmodel.FindGeneration(ctx, t.Pool, number)
	})
	return err
}

func (t Target) checkWithRetry(ctx context.Context, which func(context.Context) (readmodel.Generation, error)) (info engine.StreamInfo, err error) {
	const retryFor = 5 * time.Second
	for began, n := time.Now(), 0; ; n++ {
		info, err = t.checkOnce(ctx, which)
		if !errors.Is(err, engine.ErrRefused) || n > 0 && !errors.Is(err, engine.ErrStreamBehind) || time.Since(began) > retryFor {
			return info, err
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(retryFor / 20):
		}
	}
}

func (t Target) checkOnce(ctx context.Context, which func(context.Context) (readmodel.Generation, error)) (info engine.StreamInfo, err error) {
	g, err := which(ctx) // read before the stream, which may only have grown since
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

// IsRefusal tells whether an error is a refusal of the stream; otherwise the servers
// could not be asked.
func IsRefusal(err error) bool {
	return errors.Is(err, engine.ErrRefused) || errors.Is(err, ErrErasuresMissing)
}

// Guard is [stream.Guard], which refuses a stream that begins after the checkpoint
// since it has lost history, with one exception: where all messages in between were
// removed by our own erasures, nothing is lost. That happens where an erasure is
// carried out again before anybody has folded that far.
func Guard(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, have engine.StreamIdentity, lowest, highest uint64) error {
	err := stream.Guard(info, have, lowest, highest)
	if !errors.Is(err, stream.ErrHistoryLost) {
		return err
	}
	gone, findErr := admin.WithoutRemovals(ctx, pool, info, engine.Ranges{{First: lowest + 1, Last: info.First - 1}})
	if findErr != nil || len(gone) > 0 {
		return err // the caller asks again
	}
	info.First = lowest + 1
	return stream.Guard(info, have, lowest, highest)
}
