package acts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/internal/tracing"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
	"accountexport/readmodel/store"
)

// Rebuilder is one rebuild, cut-over or roll-back. [Rebuilder.Ready] comes first; then
//
//   - a rebuild is [Rebuilder.Begin], [Rebuilder.Build], [Rebuilder.Compare],
//     [Rebuilder.Decide] and [Rebuilder.CutOver];
//   - a cut-over is [Rebuilder.FindBuilt], and then the last three;
//   - a roll-back is [Rebuilder.RollBack].
//
// Until the cut-over, the live generation is untouched. A build that is cut off is
// completed by another one. [Rebuilder.Close] comes last in any case.
//
// One method at a time. Callbacks are called by the method that runs, and it waits for
// them.
type Rebuilder struct {
	Target // for reading; its pool is also the one that cuts over

	// Options, set before Ready.
	Builder *pgxpool.Pool  // for building, see [store.OpenRebuildPool]
	Engine  engine.Options // lanes, cache, bounds and logger of the engine that builds
	Owner   string         // a name that no other run has
	Command string         // the projector command, for advice: rebuild, cutover or rollback
	Accept  bool           // cut over although the generations differ
	Restart bool           // give up a generation that is being built
	Yes     bool           // accept also that no account is left
	MaxRate int            // messages a second that building reads at most; default: no limit
	Spool   int64          // bytes that messages for later passes may take in files at most; 0: each pass reads the stream
	Workers int            // programs that build, this one included; default 1
	// StartWorker starts one of the others; see [Worker]. Engine and Spool are what each
	// of them has.
	StartWorker func(ctx context.Context, task WorkerTask, onUndelivered func(engine.Ranges)) (wait func() error, err error)

	// Callbacks.
	OnExpect   func(Expectation)          // once, before anything is folded; default: nobody
	OnProgress func(position, end uint64) // while it builds
	// before erasures are carried out again: [Target.PendingErasures],
	// [ErasureReplay.Served]
	OnReplay   func(erasures []admin.Erasure, served []events.UUID)
	OnReplayed func(erasures int) // after they were
	// for every account that is not the same in both generations; default: nobody
	OnDifference func(admin.Difference) error
	OnCutover    func(from, to int64) // after a generation has become live

	// Results.
	Live       readmodel.Generation // set by Begin, FindBuilt and RollBack
	Generation int64                // the one beside it; set by Build, FindBuilt and RollBack
	Expected   *Expectation         // set by Build, before it folds anything

	// Set by Ready.
	exports      *export.Reader
	source       *stream.ReconcilingSource
	otherRunning bool // whether another rebuild was running

	store         *store.Store    // set by Begin, FindBuilt and RollBack
	readLatency   latencyBaseline // of the goroutine that reads the source
	undeliveredMu sync.Mutex      // workers report as well
	undelivered   engine.Ranges   // positions that the server counts as present, and has skipped
	unseen        bool            // another run has folded part of the generation: what it was not given is not known

	// Set by Compare, for the cut-over.
	lostBefore Lost // what was lost before the generations were compared
	noBaseline bool // the stream had not been seen before
}

// Ready prepares the rebuild. It ends with [engine.ErrPaused] while projecting is
// paused. waits tells that another rebuild, cut-over or roll-back is running: this one
// begins when that has ended.
func (r *Rebuilder) Ready(ctx context.Context) (waits bool, err error) {
	if err := readmodel.CheckPaused(ctx, r.Pool); err != nil {
		return false, err
	}
	if r.otherRunning, err = admin.RebuildRunning(ctx, r.Pool); err != nil {
		return false, err
	}
	r.exports = export.NewReader(r.Pool)
	r.source = r.gaps().Source(func(_ context.Context, _ engine.StreamInfo, positions engine.Ranges) error {
		r.noteUndelivered(positions)
		return nil
	})
	return r.otherRunning, nil
}

// noteUndelivered records what the server has skipped; whether that matters is decided by
// the comparison.
func (r *Rebuilder) noteUndelivered(positions engine.Ranges) {
	r.undeliveredMu.Lock()
	defer r.undeliveredMu.Unlock()
	r.undelivered = r.undelivered.Union(positions)
}

// findUnseen finds what the server has not given to another run that has folded part of
// the generation, by reading the stream once more: nobody has recorded it, and an account
// that the live generation is behind on would not differ by it.
func (r *Rebuilder) findUnseen(ctx context.Context) error {
	if !r.unseen {
		return nil
	}
	r.Engine.Logger.Info("reading the stream for messages that its server skips, since an earlier run has folded part of the generation")
	skipped, err := r.gaps().findUndelivered(ctx, 0)
	if err != nil {
		return err
	}
	r.noteUndelivered(skipped)
	r.unseen = false
	return nil
}

func (r *Rebuilder) gaps() Gaps { return Gaps{r.Target} }

// Close hands over the partitions that the rebuild owns in the generation.
func (r *Rebuilder) Close(ctx context.Context) {
	if r.store != nil {
		closeStore(ctx, r.store)
	}
}

// Begin prepares to build. The error is [readmodel.ErrNoGeneration] where there is
// nothing to rebuild.
func (r *Rebuilder) Begin(ctx context.Context) (err error) {
	ctx, end := tracing.Phase(ctx, "begin")
	defer func() { end(err) }()
	if r.Live, err = readmodel.LiveGeneration(ctx, r.Pool); err != nil {
		return fmt.Errorf("%w: there is nothing to rebuild; start `projector run`", err)
	}
	if !r.otherRunning { // a rebuild that is running knows what it builds from
		if err := r.abandonLost(ctx); err != nil {
			return err
		}
	}
	r.store = store.NewBuilder(r.Builder, r.Owner, r.Restart, r.Engine.Logger)
	r.store.Direct = r.Direct
	return nil
}

// abandonLost gives up a generation that was being built from messages that the stream
// has lost since: it cannot be built on, and a rebuild is the advice where the live
// generation is refused for the same loss.
func (r *Rebuilder) abandonLost(ctx context.Context) error {
	g, err := readmodel.BuildingGeneration(ctx, r.Pool)
	if errors.Is(err, readmodel.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	lost := r.CheckGeneration(ctx, g.Number)
	if !errors.Is(lost, engine.ErrStreamBehind) && !errors.Is(lost, engine.ErrDiverged) && !errors.Is(lost, stream.ErrHistoryLost) {
		return nil // any other reason that keeps it from being built on comes up when that is tried
	}
	r.Engine.Logger.Warn("what was being built is given up, since the stream has lost what it was folded from; a new generation is begun",
		"generation", g.Number, "error", lost)
	return admin.AbandonGeneration(ctx, r.Pool, g.Number)
}

// Build folds the stream into a generation beside the live one, until that is near the
// end of the stream. It goes on with a generation whose build was cut off.
func (r *Rebuilder) Build(ctx context.Context) (err error) {
	ctx, end := tracing.Phase(ctx, "build")
	defer func() { end(err) }()
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

// engine returns an engine that folds into the generation beside the live one; only
// selects partitions, nil all of them.
func (r *Rebuilder) engine(source engine.Source, only func(int) bool) *engine.Projector {
	opts := r.Engine
	opts.Linger, opts.LagInterval, opts.PartitionFilter, opts.Guard = linger, lagInterval, only, stream.Guard
	return engine.New(source, r.store, opts)
}

// fenced tells whether building was fenced and goes on at its checkpoint: an erasure
// fences every builder that may have read the account ahead. Where the generation was
// given up as well, the next attempt begins another one.
func (r *Rebuilder) fenced(ctx context.Context, err error) bool {
	if !errors.Is(err, engine.ErrFenced) || ctx.Err() != nil {
		return false
	}
	r.Engine.Logger.Warn("fenced, by an erasure or a refold; going on at the checkpoint", "error", err)
	return true
}

// catchUp folds the generation up to the end of the stream.
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
