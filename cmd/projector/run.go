package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"accountexport/internal/acts"
	"accountexport/internal/findings"
	"accountexport/internal/ops"
	"accountexport/internal/stream"
	"accountexport/internal/telemetry"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/gauges"
	"accountexport/readmodel/segments"
	"accountexport/readmodel/store"
)

func (p *program) run() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Follow the stream until SIGTERM or SIGINT",
		Long:  "Follows the stream and keeps the live generation current, until SIGTERM or SIGINT; a second signal ends it at once.\n\n" + exitCodes(),
		Example: `  # Follow the stream; several replicas share the partitions.
  projector run
  # With half of the default memory, logging to a file as JSON.
  projector run --memory-limit 256MiB --log-format json 2>> projector.log`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := p.follow(cmd.Context())
			if err != nil { // beside the plain text, for whoever keeps only the structured log
				p.logger(p.err).Error("the projector ends, and does not begin again by itself", "error", err, "exit", findings.ExitStatus(err))
			}
			return err
		},
	}
}

// project runs the engine and the background jobs until ctx ends. Where the database
// cannot be reached at start, it goes on, is not ready, and folds once the database is
// there.
func (p *program) project(ctx context.Context, reg *prometheus.Registry, watch *telemetry.Projector, waits *waitsFor, log *slog.Logger) error {
	waits.set("NATS at " + stream.Redacted(string(p.cfg.NATSURL)))
	client, err := p.connectWithin(ctx, log, 0)
	if err != nil && ctx.Err() != nil { // asked to end while it waited for NATS
		return nil
	}
	if err != nil {
		return err
	}
	defer client.Close()
	if err := p.checkReadable(ctx, client); err != nil {
		return err
	}
	waits.set("the database: DATABASE_URL")
	replica := replicaName()
	db, err := p.database(store.ApplicationName(replica), connect.Writing)
	if err != nil {
		return err
	}
	found, unreachable := db.check(ctx, log) // which does not keep it from starting
	if errors.Is(unreachable, connect.ErrMisconfigured) {
		return unreachable
	}
	if err := db.claim(ctx, connect.PoolSizing{Min: 3, Extra: 1}, log); err != nil {
		return err
	}
	if unreachable == nil {
		waits.set("")
	}
	pool := db.pool
	shutdown, end := withGracePeriod(ctx, p.cfg.ShutdownTimeout)
	defer end()
	defer connect.ClosePool(shutdown, pool)
	store := store.NewStore(pool, replica, log)
	store.Takeover = time.Duration(p.cfg.TakeoverAfter)
	store.Direct = db.direct()
	defer func() {
		ctx, cancel := context.WithTimeout(shutdown, 5*time.Second)
		defer cancel()
		store.Close(ctx)
	}()

	reg.MustRegister(ops.PoolCollector(pool))
	parked := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "projector_parked_events",
		Help: "Parked messages on record in the live generation, of the partitions that this replica owns; over all replicas they add up to all."}, nil)
	differences := prometheus.NewCounter(prometheus.CounterOpts{Name: "projector_verify_differences_total",
		Help: "Accounts that the audit found to differ from a fold of their messages."})
	progress := prometheus.NewGauge(prometheus.GaugeOpts{Name: "projector_rebuild_progress_ratio",
		Help: "How much of the stream the generation being built has, 0 to 1; 0 where none is being built."})
	compressed := prometheus.NewCounter(prometheus.CounterOpts{Name: "projector_compressed_bytes_total",
		Help: "Bytes of pages that this replica has compressed to be stored."})
	reg.MustRegister(parked, differences, progress, compressed)
	ledger := newLedgerGauges(reg)
	shared := gauges.New(pool, log)
	reg.MustRegister(shared)
	on := acts.NewTarget(client, pool)

	gaps := &gapGuard{Gaps: acts.Gaps{Target: on}, log: log}
	guard := &ledgerGuard{ctx: ctx, on: on, log: log, gaps: gaps}
	parking := &parkingLog{Observer: watch, log: log}
	defer parking.flush()
	counted := newOutcomeNotes(parking, func(ctx context.Context, counted map[projections.TypeOutcome]int64) (bool, error) {
		return readmodel.NoteOutcomes(ctx, pool, replica, counted)
	}, log)
	problems := newProblemLog(counted, pool, replica, log)
	shared.Before, shared.After = problems.settle, problems.look
	engine := engine.New(gaps.Source(gaps.Refuse), store, engine.Options{
		Lanes: p.lanes(), CacheBytes: int(p.cfg.StateCacheBytes), Batch: p.batch(p.lanes()), Read: p.read(),
		DrainTimeout:      p.cfg.ShutdownTimeout * 3 / 4, // the rest of it is for handing over the partitions
		HeartbeatInterval: store.Takeover / 10, Guard: guard.guard, Observer: resetOnRestart{problems, gaps.forget}, Tracer: p.tracing.Batches(), Logger: log,
	})
	g, gctx := errgroup.WithContext(ctx)
	jobs, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stopJobs()
		return engine.Run(gctx)
	})
	if unreachable != nil || found.PoolMode == connect.UnknownPooling {
		g.Go(func() error {
			defer waits.set("")
			return db.await(gctx, log)
		})
	}
	g.Go(func() error {
		runPeriodically(jobs, 5*time.Second, jobTimeout, sparingly(func(ctx context.Context) error { return countParked(ctx, pool, replica, parked) }), nil)
		return nil
	})
	g.Go(func() error {
		logDismissals(jobs, pool, log)
		return nil
	})
	g.Go(func() error {
		runPeriodically(jobs, time.Minute, jobTimeout, func(ctx context.Context) error { return ledger.update(ctx, pool) }, nil)
		return nil
	})
	g.Go(func() error {
		shared.Run(jobs)
		return nil
	})
	g.Go(func() error {
		problems.run(jobs)
		return nil
	})
	g.Go(func() error {
		counted.run(jobs)
		return nil
	})
	g.Go(func() error {
		runPeriodically(jobs, time.Second, jobTimeout, func(ctx context.Context) (err error) {
			ratio, err := rebuildRatio(ctx, pool, client)
			progress.Set(ratio)
			return err
		}, nil)
		return nil
	})
	g.Go(func() error {
		retryAfterNewMinor(jobs, on, log)
		return nil
	})
	g.Go(func() error {
		audit(jobs, on, int(p.cfg.AuditRate), int(p.cfg.AuditBytes), differences, log)
		return nil
	})
	g.Go(func() error {
		compress(jobs, segments.NewWalker(pool, replica, int(p.cfg.CompressBytes), func(bytes int) { compressed.Add(float64(bytes)) }), int(p.cfg.CompressBytes), log)
		return nil
	})
	if err := g.Wait(); err != nil {
		problems.refused(shutdown, err) // nothing else is noted any more
		return fmt.Errorf("run: %w", err)
	}
	log.Info("stopped")
	return nil
}

// withGracePeriod returns a context that ends a grace period after ctx has ended.
func withGracePeriod(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return out, cancel
}

// jobTimeout bounds one run of a background job. It is longer than the queries of one
// run take.
const jobTimeout = 20 * time.Second

// countParked keeps the gauge of parked messages current. Where they cannot be
// counted, the gauge is absent: another replica may have taken the partitions over,
// and a sum over all replicas would count them twice. Readiness says that the database
// cannot be reached.
func countParked(ctx context.Context, pool *pgxpool.Pool, replica string, gauge *prometheus.GaugeVec) error {
	n, err := admin.CountParked(ctx, pool, replica)
	if err != nil {
		gauge.Reset()
		return err
	}
	gauge.WithLabelValues().Set(float64(n))
	return nil
}

// rebuildRatio is how much of the stream is folded into the generation that is being
// built, from 0 to 1; 0 where none is.
func rebuildRatio(ctx context.Context, pool *pgxpool.Pool, client *stream.Client) (float64, error) {
	g, err := readmodel.BuildingGeneration(ctx, pool)
	if errors.Is(err, readmodel.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	position, err := readmodel.MeanPosition(ctx, pool, g.Number)
	if err != nil {
		return 0, err
	}
	info, err := client.Info(ctx)
	if err != nil || info.Last == 0 {
		return 0, err
	}
	return min(1, float64(position)/float64(info.Last)), nil
}
