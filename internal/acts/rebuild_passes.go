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
	// linger is how much work is lost when the process is killed. Within it an account
	// is written once, however many of its messages are folded.
	linger = 3 * time.Second

	passDistance = 100_000 // from so many positions behind on, passes over the stream are worth it
)

// EndDistance is how many positions from the end of the stream a generation counts as
// built: it can be compared then, and a cut-over folds the rest.
const EndDistance = 1000

// pass chooses the partitions of the next pass; nil stands for all of them.
func (r *Rebuilder) pass(ctx context.Context) (func(partition int) bool, error) {
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	at := map[int]uint64{}
	switch g, err := readmodel.BuildingGeneration(ctx, r.Pool); {
	case errors.Is(err, readmodel.ErrNotFound), r.Restart && r.store.Acquired() == 0: // the generation is about to be created
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
		if position+passDistance < info.Last {
			behind = append(behind, p)
		}
	}
	slices.Sort(behind)
	n := max(1, int(float64(info.Partitions)*float64(r.Engine.CacheBytes)/(stateSize(info)+1)))
	if len(behind) == 0 || n >= len(at) {
		return nil, nil
	}
	chosen := behind[:min(n, len(behind))]
	return func(partition int) bool { return slices.Contains(chosen, partition) }, nil
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
			continue // the engine has not chosen it yet
		}
		done, err := r.nearEnd(ctx, generation, only)
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

// Signals that the live generation suffers from a rebuild.
const (
	maxLiveLag  = 3 * time.Second // age of the as-of times of the live checkpoints
	deadLiveLag = time.Minute     // from this age on nothing projects, and nothing can suffer
)

// shouldYield tells whether building has to pause. There are two signals: the age of
// the as-of times of the live checkpoints, which is the time from an event to its
// commit; and how much longer than at its best the statement takes that the API reads
// with. Both are measured here, by one goroutine at a time, so nothing has to be
// scraped.
func (r *Rebuilder) shouldYield(ctx context.Context, live int64) bool {
	age, err := readmodel.TimeLag(ctx, r.Pool, live)
	if err != nil {
		return false
	}
	began := time.Now()
	if err := r.exports.Ready(ctx); err != nil {
		return false
	}
	slow := r.readLatency.slow(began, time.Since(began))
	return age > maxLiveLag && age < deadLiveLag || slow
}
