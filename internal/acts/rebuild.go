package acts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// Rebuilding is one rebuild, cut-over or roll-back. First it has to be
// [Rebuilding.Ready]; then
//
//   - a rebuild is [Rebuilding.Begin], [Rebuilding.Build], [Rebuilding.Compare],
//     [Rebuilding.Decide] and [Rebuilding.CutOver];
//   - a cut-over is [Rebuilding.FindBuilt], and then the last three;
//   - a roll-back is [Rebuilding.RollBack].
//
// Until it is cut over, the live generation is untouched. What is cut off is gone
// on with by another. It is to be closed in any case.
type Rebuilding struct {
	Target                      // for looking
	Builder *pgxpool.Pool       // for building: [readmodel.BuilderPool]
	Engine  projections.Options // of the engine that builds: lanes, cache, bounds and logger
	Owner   string              // names this run, and no other
	Command string              // how it is called, for what is advised: rebuild, cutover, rollback
	Accept  bool                // cut over in spite of differences
	Restart bool                // give up what is being built
	Yes     bool                // accept that nobody is left, too
	MaxRate int                 // messages a second that are read at most while building; default: no limit

	Reached    func(position, end uint64)                            // told how far building is
	ErasesAnew func(those []readmodel.Erasure, served []events.UUID) // told of erasures that are about to be carried out anew: [Target.Unfinished], [Anew.Served]
	ErasedAnew func(erasures int)                                    // told that they were
	CameLive   func(from, to int64)                                  // told that a generation has become live

	// Known once it has begun, or what was built is found.
	Live       readmodel.Generation
	Generation int64 // that is built, once that is done

	store   *readmodel.Store
	exports *readmodel.Exports
	source  *stream.Reconciled // for building
	passed  projections.Ranges // over, by the server, that it counts as there
	seen    Lost               // before both generations were compared
	reads   slowness
}

// Ready ends with [projections.ErrPaused] while projecting is paused, and tells
// whether another rebuild, cut-over or roll-back is at work: this one begins when
// that has ended.
func (r *Rebuilding) Ready(ctx context.Context) (waits bool, err error) {
	if err := readmodel.CheckPaused(ctx, r.Pool); err != nil {
		return false, err
	}
	atWork, err := readmodel.AtWork(ctx, r.Pool)
	if err != nil {
		return false, err
	}
	r.exports = readmodel.NewExports(r.Pool)
	r.source = r.gaps().Source(func(_ context.Context, _ projections.StreamInfo, those projections.Ranges) error {
		r.passed = r.passed.Union(those) // the comparison decides
		return nil
	})
	return atWork, nil
}

func (r *Rebuilding) gaps() Gaps { return Gaps{r.Target} }

// Close hands over what it owns.
func (r *Rebuilding) Close(ctx context.Context) {
	if r.store != nil {
		closeStore(ctx, r.store)
	}
}

// Begin is [readmodel.ErrNoGeneration] where there is nothing to rebuild.
func (r *Rebuilding) Begin(ctx context.Context) (err error) {
	if r.Live, err = readmodel.Live(ctx, r.Pool); err != nil {
		return fmt.Errorf("%w: there is nothing to rebuild; start `projector run`", err)
	}
	r.store = readmodel.NewBuilder(r.Builder, r.Owner, r.Restart, r.Engine.Logger)
	return nil
}

// Build folds the stream into a generation beside the live one, until that is near
// the end. It goes on with one that was cut off.
func (r *Rebuilding) Build(ctx context.Context) (err error) {
	if r.Generation, err = r.build(ctx); err != nil {
		return fmt.Errorf("%w; the live generation is untouched, and the same command goes on from here", err)
	}
	return nil
}

// tooFar is how far from the end a generation is built on by a rebuild alone.
const tooFar = 100_000

// FindBuilt finds the generation that was built and not cut over to.
func (r *Rebuilding) FindBuilt(ctx context.Context) (err error) {
	if r.Live, err = readmodel.Live(ctx, r.Pool); err != nil {
		return err
	}
	generation, position, end, err := r.reached(ctx)
	if errors.Is(err, readmodel.ErrNotFound) {
		return errors.New("no generation is being built; `projector rebuild --cutover=manual` builds one")
	}
	if err != nil {
		return err
	}
	// By another stream it would be given up, and one begun from that.
	if err := r.CheckGeneration(ctx, generation); err != nil {
		return fmt.Errorf("generation %d cannot be cut over to: %w", generation, err)
	}
	if end > position+tooFar {
		return fmt.Errorf("generation %d is at %d of %d: let `projector rebuild --cutover=manual` bring it nearer", generation, position, end)
	}
	r.Generation = generation
	r.store = readmodel.NewBuilder(r.Builder, r.Owner, false, r.Engine.Logger)
	return nil
}

func closeStore(ctx context.Context, s *readmodel.Store) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	s.Close(ctx)
}

// engine folds into a generation beside the live one; only: nil for all
// partitions.
func (r *Rebuilding) engine(source projections.Source, only func(int) bool) *projections.Projector {
	opts := r.Engine
	opts.Linger, opts.Only, opts.Guard = linger, only, stream.Guard
	return projections.New(source, r.store, opts)
}

const (
	// linger is how much work a kill can cost; while it lasts an account is
	// written once, however many of its messages come by.
	linger = 3 * time.Second

	farBehind = 100_000 // so many positions behind, passes over the stream pay
	atTheEnd  = 1000    // so many, and verification can begin
)

// build folds until the new generation is near the end of the stream. Where the
// states of all accounts would not fit into the cache, it does so in passes,
// each for some of the partitions: reading the stream once more costs less than
// writing accounts and loading them again (300,000 accounts, 1.2 million
// messages: see `make bench`).
func (r *Rebuilding) build(ctx context.Context) (int64, error) {
	source := newThrottle(r.source, r.MaxRate, func() bool { return r.suffers(ctx, r.Live.Number) })
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
func (r *Rebuilding) fenced(ctx context.Context, err error) bool {
	if !errors.Is(err, projections.ErrFenced) || ctx.Err() != nil {
		return false
	}
	r.Engine.Logger.Warn("fenced, by an erasure or a refold; going on at the checkpoint", "error", err)
	return true
}

// toEnd brings the generation to the end of the stream.
func (r *Rebuilding) toEnd(ctx context.Context, engine *projections.Projector, generation int64) error {
	err := engine.RunToEnd(ctx)
	for r.fenced(ctx, err) {
		g, findErr := readmodel.FindGeneration(ctx, r.Pool, generation)
		if findErr != nil {
			return findErr
		}
		if g.State != readmodel.StateBuilding {
			return fmt.Errorf("generation %d was given up, by an erasure: run the same command again", generation)
		}
		err = engine.RunToEnd(ctx)
	}
	if err == nil && r.store.Acquired() != generation {
		err = fmt.Errorf("generation %d was given up, by an erasure: run the same command again", generation)
	}
	return err
}

// pass chooses the partitions of the next pass; nil stands for all of them.
func (r *Rebuilding) pass(ctx context.Context) (func(partition int) bool, error) {
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	at := map[int]uint64{}
	switch g, err := readmodel.Building(ctx, r.Pool); {
	case errors.Is(err, readmodel.ErrNotFound), r.Restart && r.store.Acquired() == 0: // about to be made
		for p := range info.Partitions {
			at[p] = 0
		}
	case err != nil:
		return nil, err
	default:
		if at, err = readmodel.Positions(ctx, r.Pool, g.Number); err != nil {
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
func stateSize(info projections.StreamInfo) float64 {
	if info.Subjects == 0 {
		return 0
	}
	each := 1500 + 150*float64(info.Messages)/float64(info.Subjects)
	return float64(info.Subjects) * min(each, 20_000)
}

// follow runs the engine until the partitions are near the end of the stream.
func (r *Rebuilding) follow(ctx context.Context, engine *projections.Projector, only func(int) bool) (int64, error) {
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
func (r *Rebuilding) near(ctx context.Context, generation int64, only func(int) bool) (done bool, err error) {
	if err := readmodel.CheckPaused(ctx, r.Pool); err != nil {
		return false, err
	}
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return false, err
	}
	at, err := readmodel.Positions(ctx, r.Pool, generation)
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
	r.Reached(sum/uint64(len(at)), end)
	return done, nil
}

// reached tells how far the generation that is being built is.
func (r *Rebuilding) reached(ctx context.Context) (generation int64, position, end uint64, err error) {
	g, err := readmodel.Building(ctx, r.Pool)
	if err != nil {
		return 0, 0, 0, err
	}
	if position, err = readmodel.Lowest(ctx, r.Pool, g.Number); err != nil {
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

// suffers tells whether building has to give way. The signals are how old the
// live checkpoints' as-of times are, which is what the time from event to
// commit adds up to, and how much longer than at its best the statement of the
// API's read takes; both are asked here, by one reader at a time, so nothing has
// to be scraped.
func (r *Rebuilding) suffers(ctx context.Context, live int64) bool {
	age, err := readmodel.Age(ctx, r.Pool, live)
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

// Comparison is how a generation that was built differs from the live one.
type Comparison struct {
	readmodel.Comparison
	Live, Generation int64
	Lost             Lost // what the stream has lost, or that was passed over when it was read
}

// Compare brings the new generation to the end, since accounts that one of the
// two has yet to hear of cannot be compared; and tells how it differs from the
// live one. Where it ends with an error, what was lost may be known by then.
func (r *Rebuilding) Compare(ctx context.Context) (c Comparison, err error) {
	engine := r.engine(r.source, nil)
	defer engine.Close()
	if err := r.toEnd(ctx, engine, r.Generation); err != nil {
		return c, fmt.Errorf("bring generation %d to the end: %w", r.Generation, err)
	}
	if r.seen, err = r.lost(ctx); err != nil {
		return c, err
	}
	c.Live, c.Generation, c.Lost = r.Live.Number, r.Generation, r.seen
	c.Comparison, err = readmodel.Compare(ctx, r.Pool, r.Live.Number, r.Generation, func(ctx context.Context) (uint64, error) {
		info, err := r.Stream.Info(ctx)
		return info.Last, err
	})
	return c, err
}

// Decide refuses where the generations should not differ as they do. cost is what
// accepting the differences takes from people, who is to be asked whether that is
// meant; empty where it takes nothing.
func (r *Rebuilding) Decide(c Comparison) (cost string, err error) {
	expected := r.Live.Major != projections.VersionMajor || r.Live.Minor != projections.VersionMinor || r.Live.Refolded < r.Live.Minor
	cost = c.Cost()
	if c.Equal() || r.Accept && cost == "" || expected && c.Explained() {
		return "", nil
	}
	if !r.Accept {
		if cost != "" {
			cost = " (" + cost + ")"
		}
		why := "although the same projection version folded both"
		if expected {
			why = "by more than another projection version explains"
		}
		return "", fmt.Errorf("the generations differ %s: nothing was cut over. "+
			"`projector %s --accept-differences` does so all the same%s; the accounts named above tell why they differ (`projector verify --account ID`)",
			why, r.Command, cost)
	}
	if !r.Yes && c.Compared+c.Moving-c.Again+c.New == 0 {
		return cost, fmt.Errorf("nothing was cut over: generation %d holds no account, so all %d would answer 404. Is stream %s the right one, and whole? "+
			"Restore it from a backup; `projector %s --accept-differences --yes` goes on without them", c.Generation, c.Missing, r.Stream.Stream(), r.Command)
	}
	return cost, nil
}

// lost is what the stream has lost that nobody has explained, or that was
// passed over when it was read.
func (r *Rebuilding) lost(ctx context.Context) (Lost, error) {
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return Lost{}, err
	}
	g := r.gaps()
	l, err := g.Look(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) { // then nothing is, but what was passed over
		err = g.TakeOn(ctx)
	}
	l.Undelivered = l.Undelivered.Union(r.passed)
	return l, err
}

// CutOver brings the generation to the end and makes it live. Before, it carries
// out the erasures that the ledger knows and the stream lacks: by now the stream
// is accepted. An error of copies of the stream that keep what they have, or of
// gaps, comes after that.
func (r *Rebuilding) CutOver(ctx context.Context) error {
	return r.cutOver(ctx, r.Live.Number, r.Generation)
}

func (r *Rebuilding) cutOver(ctx context.Context, from, to int64) error {
	those, err := r.Target.Unfinished(ctx)
	if err != nil {
		return err
	}
	again := &Anew{Target: r.Target, Those: those}
	if len(those) > 0 {
		served, err := again.Served(ctx)
		if err != nil {
			return err
		}
		r.ErasesAnew(those, served)
		if err := again.CarryOut(ctx); err != nil {
			return err
		}
		r.ErasedAnew(len(those))
	}
	engine := r.engine(r.source, nil)
	defer engine.Close()
	toEnd := func(ctx context.Context) error { return r.toEnd(ctx, engine, to) }
	if err := toEnd(ctx); err != nil { // most of the way, before anybody has to wait
		return fmt.Errorf("cut over: %w", err)
	}
	if err := readmodel.Cutover(ctx, r.Pool, from, to, r.Accept, toEnd); errors.Is(err, readmodel.ErrBack) {
		command := r.Command
		if command == "rollback" { // which takes nothing from anybody
			command = "rebuild"
		}
		return fmt.Errorf("%w. Has the stream lost its end? Ways out: restore it from a backup; `projector %s --accept-differences`, which says who goes back", err, command)
	} else if err != nil {
		return err
	}
	r.CameLive(from, to)
	// What was lost before is no difference, or an accepted one; and a stream
	// that was restored may hold what had been removed.
	if r.seen.Err() != nil || r.seen.Differ {
		if err := r.gaps().Accept(ctx, r.seen); err != nil {
			return err
		}
	}
	return again.Left()
}

// RollBack brings the generation that was live before to the end of the stream, as
// far as the stream is not refused for it, and makes it live. Where it ends with an
// error before, that generation is retired as it was.
func (r *Rebuilding) RollBack(ctx context.Context) (err error) {
	if r.Live, err = readmodel.Live(ctx, r.Pool); err != nil {
		return err
	}
	before, err := r.lastRetired(ctx)
	if err != nil {
		return err
	}
	if err := r.CheckGeneration(ctx, before); err != nil {
		return fmt.Errorf("generation %d cannot be rolled back to: %w", before, err)
	}
	r.store = readmodel.NewReviver(r.Builder, r.Owner, before, r.Engine.Logger)
	if err := r.cutOver(ctx, r.Live.Number, before); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(err, readmodel.Retire(ctx, r.Pool, before))
	}
	return nil
}

// lastRetired is the generation that was live last.
func (r *Rebuilding) lastRetired(ctx context.Context) (int64, error) {
	all, err := readmodel.Generations(ctx, r.Pool)
	if err != nil {
		return 0, err
	}
	var last *readmodel.Generation
	for i, g := range all {
		if (g.State == readmodel.StateRetired || g.Reviving()) && (last == nil || g.Finished.After(*last.Finished)) {
			last = &all[i]
		}
	}
	if last == nil {
		return 0, errors.New("no generation is retired, so there is none to go back to")
	}
	return last.Number, nil
}
