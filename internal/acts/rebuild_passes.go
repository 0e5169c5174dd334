package acts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"accountexport/projections/engine"
	"accountexport/readmodel"
)

const (
	// linger is how much work a kill can cost; while it lasts an account is
	// written once, however many of its messages come by.
	linger = 3 * time.Second

	farBehind = 100_000 // so many positions behind, passes over the stream pay
	atTheEnd  = 1000    // so many, and verification can begin
)

// pass chooses the partitions of the next pass; nil stands for all of them.
func (r *Rebuilder) pass(ctx context.Context) (func(partition int) bool, error) {
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	at := map[int]uint64{}
	switch g, err := readmodel.BuildingGeneration(ctx, r.Pool); {
	case errors.Is(err, readmodel.ErrNotFound), r.Restart && r.store.Acquired() == 0: // about to be made
		for p := range info.Partitions {
			at[p] = 0
		}
	case err != nil:
		return nil, err
	default:
		if at, err = readmodel.CheckpointPositions(ctx, r.Pool, g.Number); err != nil {
			return nil, err
		}
	}
	var behind []int
	for p, position := range at {
		if position+farBehind < info.Last {
			behind = append(behind, p)
		}
	}
	slices.Sort(behind)
	n := max(1, int(float64(info.Partitions)*float64(r.Engine.CacheBytes)/(stateSize(info)+1)))
	if len(behind) == 0 || n >= len(at) {
		return nil, nil
	}
	mine := behind[:min(n, len(behind))]
	return func(partition int) bool { return slices.Contains(mine, partition) }, nil
}

// stateSize is about how many bytes the states of all accounts take in memory:
// they grow with the account's messages up to the bound of the live tails.
func stateSize(info engine.StreamInfo) float64 {
	if info.Subjects == 0 {
		return 0
	}
	each := 1500 + 150*float64(info.Messages)/float64(info.Subjects)
	return float64(info.Subjects) * min(each, 20_000)
}

// follow runs the engine until the partitions are near the end of the stream.
func (r *Rebuilder) follow(ctx context.Context, engine *engine.Projector, only func(int) bool) (int64, error) {
	following, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- engine.Follow(following) }()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			if err == nil {
				err = ctx.Err()
			}
			return 0, fmt.Errorf("rebuild: %w", err)
		case <-ticker.C:
		}
		generation := r.store.Acquired()
		if generation == 0 {
			continue // the engine is about to choose it
		}
		done, err := r.near(ctx, generation, only)
		if err != nil {
			stop()
			<-ended
			return 0, fmt.Errorf("rebuild: %w", err)
		}
		if done {
			stop()
			return generation, <-ended
		}
	}
}

// near tells whether the partitions are near the end.
func (r *Rebuilder) near(ctx context.Context, generation int64, only func(int) bool) (done bool, err error) {
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
		if (only == nil || only(p)) && position+atTheEnd < end {
			done = false
		}
	}
	r.OnProgress(sum/uint64(len(at)), end)
	return done, nil
}

// reached tells how far the generation that is being built is.
func (r *Rebuilder) reached(ctx context.Context) (generation int64, position, end uint64, err error) {
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

// Signals that somebody suffers from a rebuild.
const (
	liveTooOld = 3 * time.Second // age of the live checkpoints' as-of times
	nobodyLive = time.Minute     // older than that: nobody projects, so nobody suffers
)

// shouldYield tells whether building has to give way. The signals are how old the
// live checkpoints' as-of times are, which is what the time from event to
// commit adds up to, and how much longer than at its best the statement of the
// API's read takes; both are asked here, by one reader at a time, so nothing has
// to be scraped.
func (r *Rebuilder) shouldYield(ctx context.Context, live int64) bool {
	age, err := readmodel.TimeLag(ctx, r.Pool, live)
	if err != nil {
		return false
	}
	began := time.Now()
	if err := r.exports.Ready(ctx); err != nil {
		return false
	}
	slow := r.reads.is(began, time.Since(began))
	return age > liveTooOld && age < nobodyLive || slow
}
