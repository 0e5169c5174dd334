package acts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"accountexport/projections/engine"
	"accountexport/readmodel"
)

const (
	// linger is how much work is lost when the process is killed. Within it an account
	// is written once, however many of its messages are folded.
	linger = 3 * time.Second

	lagInterval = 250 * time.Millisecond // between looks at how far the end is: a pass ends with one

	passDistance = 100_000 // from so many positions behind on, passes over the stream are worth it
)

// EndDistance is how many positions from the end of the stream a generation counts as
// built: it can be compared then, and a cut-over folds the rest.
const EndDistance = 1000

// build folds until the new generation is near the end of the stream. Where the states of
// all accounts do not fit into the cache, it folds in passes, each for some of the
// partitions: keeping messages for a later pass costs less than writing accounts and
// loading them again (300,000 accounts, 1.2 million messages: see `make bench`).
func (r *Rebuilder) build(ctx context.Context) (int64, error) {
	workers := r.Workers
	for {
		generation, failed, err := r.buildAll(ctx, workers)
		switch {
		case r.fenced(ctx, err):
		case err != nil:
			return 0, fmt.Errorf("rebuild: %w", err)
		case failed == 0:
			return generation, nil
		default:
			workers -= failed // what they have left is divided among fewer, in the end done by this program alone
		}
	}
}

// buildAll acquires the generation, and brings all of it near the end, with so many
// workers, this program included. It returns how many of them have failed; then part of
// the generation may still be far from the end.
func (r *Rebuilder) buildAll(ctx context.Context, workers int) (generation int64, failed int, err error) {
	r.store.SetShare(nil)
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return 0, 0, err
	}
	own, err := r.store.Acquire(ctx, info)
	if err != nil {
		return 0, 0, err
	}
	distance := uint64(passDistance)
	if workers > 1 {
		distance = EndDistance // whoever asks for workers gets them
	}
	shares := divide(behind(own, info, distance), workers)
	if r.Expected == nil {
		r.unseen = slices.ContainsFunc(own.Checkpoints, func(c engine.Checkpoint) bool { return c.Position > 0 })
		e, err := r.expect(ctx, own, info, shares)
		if err != nil {
			return 0, 0, err
		}
		if r.Expected = &e; r.OnExpect != nil {
			r.OnExpect(e)
		}
	}
	if len(shares) > 0 {
		crew := r.startWorkers(ctx, own, shares[1:])
		defer crew.end()
		rate := r.MaxRate
		if rate > 0 {
			rate = max(1, rate/len(shares))
		}
		if len(shares) > 1 {
			r.store.SetShare(shares[0])
		}
		if err := r.buildShare(ctx, own, info, shares[0], rate); err != nil {
			return 0, 0, err
		}
		if failed, err = r.await(ctx, own.Generation, crew); failed > 0 || err != nil {
			return 0, failed, err
		}
		r.store.SetShare(nil)
	}
	if done, err := r.nearEnd(ctx, own.Generation, nil); done || err != nil {
		return own.Generation, 0, err
	}
	return own.Generation, 0, r.follow(ctx, own.Generation, r.engine(r.throttled(ctx, r.MaxRate), nil), nil)
}

func (r *Rebuilder) throttled(ctx context.Context, rate int) *throttle {
	return newThrottle(r.source, rate, func() bool { return r.shouldYield(ctx, r.Live.Number) })
}

// behind are the partitions that are at least this far from the end.
func behind(own engine.Ownership, info engine.StreamInfo, distance uint64) (out []engine.Checkpoint) {
	for _, c := range own.Checkpoints {
		if c.Position+distance < info.Last {
			out = append(out, c)
		}
	}
	return out
}

// divide divides partitions into at most n parts of about the same size, none of them
// empty.
func divide(checkpoints []engine.Checkpoint, n int) (parts [][]int) {
	n = min(max(n, 1), len(checkpoints))
	for i := range n {
		parts = append(parts, partitionsOf(checkpoints[i*len(checkpoints)/n:(i+1)*len(checkpoints)/n]))
	}
	return parts
}

// passes divides partitions so that the states of those of one pass fit into the cache.
// Each lane gets as many of them as every other one, since each has its part of the cache.
func (r *Rebuilder) passes(checkpoints []engine.Checkpoint, info engine.StreamInfo) (out [][]int) {
	each := max(1, int(float64(info.Partitions)*float64(r.Engine.CacheBytes)/(stateSize(info)+1)))
	if lanes := max(1, r.Engine.Lanes); each > lanes {
		each -= each % lanes
	}
	for part := range slices.Chunk(checkpoints, each) {
		out = append(out, partitionsOf(part))
	}
	return out
}

func partitionsOf(checkpoints []engine.Checkpoint) (out []int) {
	for _, c := range checkpoints {
		out = append(out, c.Partition)
	}
	return out
}

// buildShare brings the partitions of a share, which the store has, near the end.
func (r *Rebuilder) buildShare(ctx context.Context, own engine.Ownership, info engine.StreamInfo, share []int, rate int) error {
	mine := ofShare(own.Checkpoints, share)
	passes := r.passes(mine, info)
	room := r.Spool
	if len(passes) == 1 {
		room = 0
	}
	var starts []uint64
	for _, partitions := range passes {
		starts = append(starts, lowest(ofShare(mine, partitions)))
	}
	throttle := r.throttled(ctx, rate)
	spool := newSpool(throttle, own.Stream, passes, starts, room, r.Engine.Logger)
	spool.disturbed, spool.throttle = r.store.Disturbances, throttle.reader
	defer spool.giveUp()
	for i, partitions := range passes {
		spool.pass = i
		only := func(partition int) bool { return slices.Contains(partitions, partition) }
		if err := r.follow(ctx, own.Generation, r.engine(spool, only), only); err != nil {
			return err
		}
	}
	return nil
}

// stateSize is about how many bytes the states of all accounts take in memory: they
// grow with the messages of the account, up to the bound of the live tails.
func stateSize(info engine.StreamInfo) float64 {
	if info.Subjects == 0 {
		return 0
	}
	each := 1500 + 150*float64(info.Messages)/float64(info.Subjects)
	return float64(info.Subjects) * min(each, 20_000)
}

// follow runs the engine until the partitions are near the end of the stream.
func (r *Rebuilder) follow(ctx context.Context, generation int64, projector *engine.Projector, only func(int) bool) error {
	following, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- projector.Follow(following) }()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			if err == nil {
				err = ctx.Err()
			}
			return err
		case <-ticker.C:
		}
		if now := r.store.Acquired(); now != generation { // what was being built was given up
			stop()
			<-ended
			return fmt.Errorf("%w: generation %d was given up, generation %d is begun", engine.ErrFenced, generation, now)
		}
		done, err := r.nearEnd(ctx, generation, only)
		if done || err != nil {
			stop()
			ended := <-ended
			return cmp.Or(err, ended)
		}
	}
}

// nearEnd tells whether the partitions are near the end of the stream, and reports
// progress.
func (r *Rebuilder) nearEnd(ctx context.Context, generation int64, only func(int) bool) (done bool, err error) {
	if err := readmodel.CheckPaused(ctx, r.Pool); err != nil {
		return false, err
	}
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return false, err
	}
	at, err := readmodel.CheckpointPositions(ctx, r.Pool, generation)
	if err != nil || len(at) == 0 {
		return false, err
	}
	end := info.Last
	sum, done := uint64(0), true
	for p, position := range at {
		sum += position
		if (only == nil || only(p)) && position+EndDistance < end {
			done = false
		}
	}
	r.OnProgress(sum/uint64(len(at)), end)
	return done, nil
}

// buildPosition returns how far the generation is that is being built.
func (r *Rebuilder) buildPosition(ctx context.Context) (generation int64, position, end uint64, err error) {
	g, err := readmodel.BuildingGeneration(ctx, r.Pool)
	if err != nil {
		return 0, 0, 0, err
	}
	if position, err = readmodel.LowestPosition(ctx, r.Pool, g.Number); err != nil {
		return 0, 0, 0, err
	}
	info, err := r.Stream.Info(ctx)
	return g.Number, position, info.Last, err
}
