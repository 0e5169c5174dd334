package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// rebuilding is one rebuild, cut-over or roll-back.
type rebuilding struct {
	*program
	client  *stream.Client
	pool    *pgxpool.Pool // for looking
	builder *pgxpool.Pool // for building
	exports *readmodel.Exports
	log     *slog.Logger
	source  *stream.Reconciled // for building
	passed  projections.Ranges // over, by the server, that it counts as there
	seen    acts.Lost          // before both generations were compared
	accept  bool               // cut over in spite of differences
	restart bool               // give up what is being built
	yes     bool               // do not ask, and accept that nobody is left, too
	command string
	reads   slowness
	sure    func(ctx context.Context, question string) error // asks, where somebody can be asked
}

func (p *program) rebuilding(cmd *cobra.Command) (r *rebuilding, err error) {
	ctx := cmd.Context()
	r = &rebuilding{program: p, log: p.cfg.Logger(p.err), command: cmd.Name(), sure: p.asking(cmd)}
	if r.client, err = p.connectStream(ctx, r.log); err != nil {
		return nil, err
	}
	if r.pool, err = p.connectDatabase(ctx); err != nil {
		r.close()
		return nil, err
	}
	if err := readmodel.CheckPaused(ctx, r.pool); err != nil {
		r.close()
		return nil, err
	}
	if atWork, err := readmodel.AtWork(ctx, r.pool); err != nil {
		r.close()
		return nil, err
	} else if atWork {
		fmt.Fprintln(r.err, "a rebuild, cut-over or roll-back is running already, as `projector status` tells: this one begins when that has ended")
	}
	r.exports = readmodel.NewExports(r.pool)
	r.source = r.gaps().Source(func(_ context.Context, _ projections.StreamInfo, those projections.Ranges) error {
		r.passed = r.passed.Union(those) // the comparison decides
		return nil
	})
	if r.builder, err = readmodel.BuilderPool(ctx, string(p.cfg.DatabaseURL)); err != nil {
		r.close()
		return nil, fmt.Errorf("database: %w", err)
	}
	return r, nil
}

func (r *rebuilding) gaps() acts.Gaps { return acts.Gaps{Target: acts.NewTarget(r.client, r.pool)} }

func (r *rebuilding) close() {
	r.client.Close()
	for _, pool := range []*pgxpool.Pool{r.pool, r.builder} {
		if pool != nil {
			pool.Close()
		}
	}
}

func (p *program) rebuild() *cobra.Command {
	cutover, maxRate := "auto", 0
	var restart, accept, yes bool
	cmd := &cobra.Command{
		Use:   "rebuild [--cutover auto|manual] [--max-rate N] [--restart] [--accept-differences] [--yes]",
		Short: "Fold the stream from its start into a new generation, verify it, and cut over to it",
		Long: "The live generation is served and kept current by `projector run` meanwhile. Interrupted, whatever the moment, a\n" +
			"rebuild goes on where it was. Before the cut-over both generations are compared; where they differ although\n" +
			"this program folded both, it refuses. --accept-differences cuts over all the same: it says how many accounts would\n" +
			"answer 404 or go back, and on a terminal asks.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			r, err := p.rebuilding(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			r.accept, r.restart, r.yes = accept, restart, yes
			live, err := readmodel.Live(ctx, r.pool)
			if err != nil {
				return fmt.Errorf("%w: there is nothing to rebuild; start `projector run`", err)
			}
			store := readmodel.NewBuilder(r.builder, replicaName(), restart, r.log)
			defer closeStore(ctx, store)
			generation, err := r.build(ctx, store, live, maxRate)
			if err != nil {
				return fmt.Errorf("%w; the live generation is untouched, and the same command goes on from here", err)
			}
			if err := r.compare(ctx, store, live, generation); err != nil {
				return err
			}
			if cutover == "manual" {
				fmt.Fprintf(p.out, "generation %d is ready; `projector cutover` makes it live\n", generation)
				return nil
			}
			return r.cutOver(ctx, store, live.Number, generation)
		},
	}
	cli.Flag(cmd.Flags(), &cutover, "cutover", cli.OneOf("auto", "manual"), "manual stops before it")
	cli.Flag(cmd.Flags(), &maxRate, "max-rate", cli.Whole("N", 0, math.MaxInt32), "messages a second at most; 0 for no limit")
	cmd.Flags().BoolVar(&restart, "restart", false, "give up a generation that is being built, and begin anew")
	cmd.Flags().BoolVar(&accept, "accept-differences", false, "cut over although the generations differ")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask; with --accept-differences also where no account would be left")
	return cmd
}

func closeStore(ctx context.Context, s *readmodel.Store) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	s.Close(ctx)
}

// engine folds into a generation beside the live one; only: nil for all
// partitions.
func (r *rebuilding) engine(source projections.Source, store *readmodel.Store, only func(int) bool) *projections.Projector {
	lanes := runtime.NumCPU() // commits cost the database little here
	if r.cfg.Lanes > 0 {
		lanes = int(r.cfg.Lanes)
	}
	batch := r.batch(lanes)
	batch.Events *= 5
	return projections.New(source, store, projections.Options{Lanes: lanes, CacheBytes: int(r.cfg.StateCacheBytes), Batch: batch,
		Read: r.read(), Linger: linger, Only: only, Guard: stream.Guard, Logger: r.log})
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
func (r *rebuilding) build(ctx context.Context, store *readmodel.Store, live readmodel.Generation, maxRate int) (int64, error) {
	show := newProgress(r.err)
	done := false
	defer func() { show.end(done) }()
	source := newThrottle(r.source, maxRate, func() bool { return r.suffers(ctx, live.Number) })
	for {
		only, err := r.pass(ctx, store)
		if err != nil {
			return 0, fmt.Errorf("rebuild: %w", err)
		}
		generation, err := r.follow(ctx, r.engine(source, store, only), store, only, show)
		if r.fenced(ctx, err) {
			continue
		}
		if err != nil || only == nil {
			done = err == nil
			return generation, err
		}
	}
}

// fenced tells whether building was fenced and is to go on at its checkpoint:
// an erasure does that to whoever may have read the account ahead. Where it gave
// the generation up, too, the next attempt makes another.
func (r *rebuilding) fenced(ctx context.Context, err error) bool {
	if !errors.Is(err, projections.ErrFenced) || ctx.Err() != nil {
		return false
	}
	r.log.Warn("fenced, by an erasure or a refold; going on at the checkpoint", "error", err)
	return true
}

// toEnd brings the generation to the end of the stream.
func (r *rebuilding) toEnd(ctx context.Context, engine *projections.Projector, store *readmodel.Store, generation int64) error {
	err := engine.RunToEnd(ctx)
	for r.fenced(ctx, err) {
		g, findErr := readmodel.FindGeneration(ctx, r.pool, generation)
		if findErr != nil {
			return findErr
		}
		if g.State != readmodel.StateBuilding {
			return fmt.Errorf("generation %d was given up, by an erasure: run the same command again", generation)
		}
		err = engine.RunToEnd(ctx)
	}
	if err == nil && store.Acquired() != generation {
		err = fmt.Errorf("generation %d was given up, by an erasure: run the same command again", generation)
	}
	return err
}

// pass chooses the partitions of the next pass; nil stands for all of them.
func (r *rebuilding) pass(ctx context.Context, store *readmodel.Store) (func(partition int) bool, error) {
	info, err := r.client.Info(ctx)
	if err != nil {
		return nil, err
	}
	at := map[int]uint64{}
	switch g, err := readmodel.Building(ctx, r.pool); {
	case errors.Is(err, readmodel.ErrNotFound), r.restart && store.Acquired() == 0: // about to be made
		for p := range info.Partitions {
			at[p] = 0
		}
	case err != nil:
		return nil, err
	default:
		if at, err = readmodel.Positions(ctx, r.pool, g.Number); err != nil {
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
	n := max(1, int(float64(info.Partitions)*float64(r.cfg.StateCacheBytes)/(stateSize(info)+1)))
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
func (r *rebuilding) follow(ctx context.Context, engine *projections.Projector, store *readmodel.Store, only func(int) bool, show *progress) (int64, error) {
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
		generation := store.Acquired()
		if generation == 0 {
			continue // the engine is about to choose it
		}
		done, err := r.near(ctx, generation, only, show)
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
func (r *rebuilding) near(ctx context.Context, generation int64, only func(int) bool, show *progress) (done bool, err error) {
	if err := readmodel.CheckPaused(ctx, r.pool); err != nil {
		return false, err
	}
	info, err := r.client.Info(ctx)
	if err != nil {
		return false, err
	}
	at, err := readmodel.Positions(ctx, r.pool, generation)
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
	show.at(sum/uint64(len(at)), end)
	return done, nil
}

// reached tells how far the generation that is being built is.
func (r *rebuilding) reached(ctx context.Context) (generation int64, position, end uint64, err error) {
	g, err := readmodel.Building(ctx, r.pool)
	if err != nil {
		return 0, 0, 0, err
	}
	if position, err = readmodel.Lowest(ctx, r.pool, g.Number); err != nil {
		return 0, 0, 0, err
	}
	info, err := r.client.Info(ctx)
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
func (r *rebuilding) suffers(ctx context.Context, live int64) bool {
	age, err := readmodel.Age(ctx, r.pool, live)
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

// compare brings the new generation to the end, since accounts that one of the
// two has yet to hear of cannot be compared; prints how it differs from the
// live one; and refuses where it should not differ.
func (r *rebuilding) compare(ctx context.Context, store *readmodel.Store, live readmodel.Generation, generation int64) (err error) {
	engine := r.engine(r.source, store, nil)
	defer engine.Close()
	if err := r.toEnd(ctx, engine, store, generation); err != nil {
		return fmt.Errorf("bring generation %d to the end: %w", generation, err)
	}
	if r.seen, err = r.lost(ctx); err != nil {
		return err
	}
	sayLost(r.out, &r.seen)
	c, err := readmodel.Compare(ctx, r.pool, live.Number, generation, func(ctx context.Context) (uint64, error) {
		info, err := r.client.Info(ctx)
		return info.Last, err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "compared with generation %d: %d accounts, %d of them differ; %d missing, %d new, %d on their way; %d tiers differ\n",
		live.Number, c.Compared, c.Different, c.Missing, c.New, c.Moving, c.Tiers)
	for section, n := range c.Sections {
		fmt.Fprintf(r.out, "  %s differs in %d accounts\n", section, n)
	}
	for _, d := range c.Sample {
		fmt.Fprintf(r.out, "  account %s: %s\n", d.Account, d.What)
	}
	if c.Again > 0 {
		fmt.Fprintf(r.out, "  %d that are erased and are not so in generation %d are erased in it anew before it is cut over to\n", c.Again, generation)
	}
	expected := live.Major != projections.VersionMajor || live.Minor != projections.VersionMinor || live.Refolded < live.Minor
	cost := c.Cost()
	if c.Equal() || r.accept && cost == "" || expected && c.Explained() {
		return nil
	}
	if !r.accept {
		if cost != "" {
			cost = " (" + cost + ")"
		}
		why := "although the same projection version folded both"
		if expected {
			why = "by more than another projection version explains"
		}
		return fmt.Errorf("the generations differ %s: nothing was cut over. "+
			"`projector %s --accept-differences` does so all the same%s; the accounts named above tell why they differ (`projector verify --account ID`)",
			why, r.command, cost)
	}
	fmt.Fprintf(r.out, "accepting the differences: %s\n", cost)
	if r.yes {
		return nil
	}
	if c.Compared+c.Moving-c.Again+c.New == 0 {
		return fmt.Errorf("nothing was cut over: generation %d holds no account, so all %d would answer 404. Is stream %s the right one, and whole? "+
			"Restore it from a backup; `projector %s --accept-differences --yes` goes on without them", generation, c.Missing, r.client.Stream(), r.command)
	}
	return r.sure(ctx, fmt.Sprintf("Cutting over to generation %d: %s.", generation, cost))
}

// lost is what the stream has lost that nobody has explained, or that was
// passed over when it was read.
func (r *rebuilding) lost(ctx context.Context) (acts.Lost, error) {
	info, err := r.client.Info(ctx)
	if err != nil {
		return acts.Lost{}, err
	}
	g := r.gaps()
	l, err := g.Look(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) { // then nothing is, but what was passed over
		err = g.TakeOn(ctx)
	}
	l.Undelivered = l.Undelivered.Union(r.passed)
	return l, err
}

// cutOver brings the generation to the end and makes it live. Before, it carries
// out the erasures that the ledger knows and the stream lacks: by now the stream
// is accepted.
func (r *rebuilding) cutOver(ctx context.Context, store *readmodel.Store, from, to int64) error {
	on := acts.NewTarget(r.client, r.pool)
	those, err := on.Unfinished(ctx)
	if err != nil {
		return err
	}
	again := &acts.Anew{Target: on, Those: those}
	if len(those) > 0 {
		served, err := again.Served(ctx)
		if err != nil {
			return err
		}
		sayUnfinished(r.out, r.client.Stream(), those)
		sayServed(r.out, served)
		if err := again.CarryOut(ctx); err != nil {
			return err
		}
		sayAnew(r.out, len(those), r.client.Stream())
	}
	engine := r.engine(r.source, store, nil)
	defer engine.Close()
	toEnd := func(ctx context.Context) error { return r.toEnd(ctx, engine, store, to) }
	if err := toEnd(ctx); err != nil { // most of the way, before anybody has to wait
		return fmt.Errorf("cut over: %w", err)
	}
	if err := readmodel.Cutover(ctx, r.pool, from, to, r.accept, toEnd); errors.Is(err, readmodel.ErrBack) {
		command := r.command
		if command == "rollback" { // which takes nothing from anybody
			command = "rebuild"
		}
		return fmt.Errorf("%w. Has the stream lost its end? Ways out: restore it from a backup; `projector %s --accept-differences`, which says who goes back", err, command)
	} else if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "generation %d is live; generation %d is kept until `projector generations drop %d`\n", to, from, from)
	// What was lost before is no difference, or an accepted one; and a stream
	// that was restored may hold what had been removed.
	if r.seen.Err() != nil || r.seen.Differ {
		if err := r.gaps().Accept(ctx, r.seen); err != nil {
			return err
		}
	}
	return again.Left()
}
