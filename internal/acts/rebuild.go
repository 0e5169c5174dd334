package acts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
	"accountexport/readmodel/store"
)

// Rebuilder is one rebuild, cut-over or roll-back. First it has to be
// [Rebuilder.Ready]; then
//
//   - a rebuild is [Rebuilder.Begin], [Rebuilder.Build], [Rebuilder.Compare],
//     [Rebuilder.Decide] and [Rebuilder.CutOver];
//   - a cut-over is [Rebuilder.FindBuilt], and then the last three;
//   - a roll-back is [Rebuilder.RollBack].
//
// Until it is cut over, the live generation is untouched. What is cut off is gone
// on with by another. It is to be closed in any case.
type Rebuilder struct {
	Target                 // for looking
	Builder *pgxpool.Pool  // for building: [store.OpenRebuildPool]
	Engine  engine.Options // of the engine that builds: lanes, cache, bounds and logger
	Owner   string         // names this run, and no other
	Command string         // how it is called, for what is advised: rebuild, cutover, rollback
	Accept  bool           // cut over in spite of differences
	Restart bool           // give up what is being built
	Yes     bool           // accept that nobody is left, too
	MaxRate int            // messages a second that are read at most while building; default: no limit

	OnProgress   func(position, end uint64)                        // told how far building is
	OnReplay     func(those []admin.Erasure, served []events.UUID) // told of erasures that are about to be carried out anew: [Target.UnfinishedErasures], [ErasureReplay.Served]
	OnReplayed   func(erasures int)                                // told that they were
	OnDifference func(admin.Difference) error                      // told of every account that is not the same in both; default: nobody
	OnCutover    func(from, to int64)                              // told that a generation has become live

	// Known once it has begun, or what was built is found.
	Live       readmodel.Generation
	Generation int64 // that is built, once that is done

	store   *store.Store
	exports *export.Reader
	source  *stream.ReconcilingSource // for building
	passed  engine.Ranges             // over, by the server, that it counts as there
	seen    Lost                      // before both generations were compared
	unseen  bool                      // the stream was not looked at before
	atWork  bool                      // another one was when this was made ready
	reads   latencyBaseline
}

// Ready ends with [engine.ErrPaused] while projecting is paused, and tells
// whether another rebuild, cut-over or roll-back is at work: this one begins when
// that has ended.
func (r *Rebuilder) Ready(ctx context.Context) (waits bool, err error) {
	if err := readmodel.CheckPaused(ctx, r.Pool); err != nil {
		return false, err
	}
	if r.atWork, err = admin.RebuildRunning(ctx, r.Pool); err != nil {
		return false, err
	}
	r.exports = export.NewReader(r.Pool)
	r.source = r.gaps().Source(func(_ context.Context, _ engine.StreamInfo, those engine.Ranges) error {
		r.passed = r.passed.Union(those) // the comparison decides
		return nil
	})
	return r.atWork, nil
}

func (r *Rebuilder) gaps() Gaps { return Gaps{r.Target} }

// Close hands over what it owns.
func (r *Rebuilder) Close(ctx context.Context) {
	if r.store != nil {
		closeStore(ctx, r.store)
	}
}

// Begin is [readmodel.ErrNoGeneration] where there is nothing to rebuild.
func (r *Rebuilder) Begin(ctx context.Context) (err error) {
	if r.Live, err = readmodel.LiveGeneration(ctx, r.Pool); err != nil {
		return fmt.Errorf("%w: there is nothing to rebuild; start `projector run`", err)
	}
	if !r.atWork { // who is at work knows what from
		if err := r.giveUpLost(ctx); err != nil {
			return err
		}
	}
	r.store = store.NewBuilder(r.Builder, r.Owner, r.Restart, r.Engine.Logger)
	r.store.Direct = r.Direct
	return nil
}

// giveUpLost gives up a generation that was being built from what the stream has
// lost since: nobody can go on with it, and a rebuild is what is advised where the
// live one is refused for the same.
func (r *Rebuilder) giveUpLost(ctx context.Context) error {
	g, err := readmodel.BuildingGeneration(ctx, r.Pool)
	if errors.Is(err, readmodel.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	lost := r.CheckGeneration(ctx, g.Number)
	if !errors.Is(lost, engine.ErrStreamBehind) && !errors.Is(lost, engine.ErrDiverged) && !errors.Is(lost, stream.ErrHistoryLost) {
		return nil // whatever else keeps it from being gone on with is found when it is tried
	}
	r.Engine.Logger.Warn("what was being built is given up, since the stream has lost what it was folded from; a new generation is begun",
		"generation", g.Number, "error", lost)
	return admin.AbandonGeneration(ctx, r.Pool, g.Number)
}

// Build folds the stream into a generation beside the live one, until that is near
// the end. It goes on with one that was cut off.
func (r *Rebuilder) Build(ctx context.Context) (err error) {
	if r.Generation, err = r.build(ctx); err != nil {
		return fmt.Errorf("%w; the live generation is untouched, and `projector rebuild` goes on from here", err)
	}
	return nil
}

func closeStore(ctx context.Context, s *store.Store) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	s.Close(ctx)
}

// engine folds into a generation beside the live one; only: nil for all
// partitions.
func (r *Rebuilder) engine(source engine.Source, only func(int) bool) *engine.Projector {
	opts := r.Engine
	opts.Linger, opts.PartitionFilter, opts.Guard = linger, only, stream.Guard
	return engine.New(source, r.store, opts)
}

// build folds until the new generation is near the end of the stream. Where the
// states of all accounts would not fit into the cache, it does so in passes,
// each for some of the partitions: reading the stream once more costs less than
// writing accounts and loading them again (300,000 accounts, 1.2 million
// messages: see `make bench`).
func (r *Rebuilder) build(ctx context.Context) (int64, error) {
	source := newThrottle(r.source, r.MaxRate, func() bool { return r.shouldYield(ctx, r.Live.Number) })
	for {
		only, err := r.pass(ctx)
		if err != nil {
			return 0, fmt.Errorf("rebuild: %w", err)
		}
		generation, err := r.follow(ctx, r.engine(source, only), only)
		if r.fenced(ctx, err) {
			continue
		}
		if err != nil || only == nil {
			return generation, err
		}
	}
}

// fenced tells whether building was fenced and is to go on at its checkpoint:
// an erasure does that to whoever may have read the account ahead. Where it gave
// the generation up, too, the next attempt makes another.
func (r *Rebuilder) fenced(ctx context.Context, err error) bool {
	if !errors.Is(err, engine.ErrFenced) || ctx.Err() != nil {
		return false
	}
	r.Engine.Logger.Warn("fenced, by an erasure or a refold; going on at the checkpoint", "error", err)
	return true
}

// catchUp brings the generation to the end of the stream.
func (r *Rebuilder) catchUp(ctx context.Context, engine *engine.Projector, generation int64) error {
	err := engine.RunToEnd(ctx)
	for r.fenced(ctx, err) {
		g, findErr := readmodel.FindGeneration(ctx, r.Pool, generation)
		if findErr != nil {
			return findErr
		}
		if g.State != readmodel.StateBuilding {
			return fmt.Errorf("generation %d was given up, by an erasure: `projector rebuild` begins another", generation)
		}
		err = engine.RunToEnd(ctx)
	}
	if err == nil && r.store.Acquired() != generation {
		err = fmt.Errorf("generation %d was given up, by an erasure: `projector rebuild` begins another", generation)
	}
	return err
}
