package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"accountexport/internal/cli"
	"accountexport/internal/findings"
	"accountexport/internal/ingest"
	"accountexport/internal/ops"
	"accountexport/internal/relay"
	"accountexport/internal/settings"
	"accountexport/projections/engine"
	"accountexport/readmodel/connect"
)

// relayCommand is a call of `projector relay`.
type relayCommand struct {
	*program
	accept bool // --accept-stream
}

func (p *program) relay() *cobra.Command {
	c := relayCommand{program: p}
	cmd := &cobra.Command{
		Use:   "relay [--accept-stream] [--yes] [--json]",
		Short: "Publish the events of an outbox in PostgreSQL, until SIGTERM or SIGINT",
		Long: "Publishes what the control plane has written to its outbox (package outbox) in the database of OUTBOX_DATABASE_URL: each\n" +
			"event exactly once, and those of one account in their order. What is acknowledged is removed from the outbox.\n\n" +
			"Several may run: one works, and the others stand by. That takes a session of the database: OUTBOX_DATABASE_URL has to name\n" +
			"it past any pooler of transactions. Where PostgreSQL or NATS is away, it tries again for ever. A message that JetStream\n" +
			"refuses, since it is too large, holds up its own account only; `status` names it.\n\n" +
			"A stream that is not the one that was published to is refused, as by `run`. With --accept-stream it is accepted from then\n" +
			"on, and the command ends: the next relay publishes what waits to it, and looks first whether it is there already.\n\n" + exitCodes(),
		Example: `  # Publish what the database of OUTBOX_DATABASE_URL has in its outbox.
  projector relay
  # The stream was lost, and created anew: go on with that one.
  projector relay --accept-stream`,
		Annotations: map[string]string{outboxOnly: "yes"},
		Args: func(cmd *cobra.Command, args []string) error {
			problems := []error{cli.NoArgs(cmd, args)}
			for flag, given := range map[string]bool{"yes": p.yes, "json": p.asJSON} {
				if given && !c.accept {
					problems = append(problems, fmt.Errorf("--%s goes with --accept-stream", flag))
				}
			}
			return errors.Join(problems...)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.accept {
				return c.acceptStream(cmd.Context())
			}
			err := c.run(cmd.Context())
			if err != nil { // beside the plain text, for whoever keeps only the structured log
				c.logger(c.err).Error("the relay ends, and does not begin again by itself", "error", err, "exit", findings.ExitStatus(err))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&c.accept, "accept-stream", false, "go on with the stream that is there, whichever was published to, and end")
	p.yesFlag(cmd, yesDoNotAsk)
	p.jsonFlag(cmd, "print what --accept-stream has done as JSON")
	return cmd
}

// run relays until ctx ends. Where either server cannot be reached at start, it goes
// on, is not ready, and relays once they are there.
func (c *relayCommand) run(ctx context.Context) error {
	log := c.logger(c.err)
	settings.Warn(log, c.cfg.UnprotectedRelay())
	c.cfg.Memory.Report(log, c.cfg.MemoryLimit)
	cfg, err := c.outboxConfig()
	if err != nil {
		return err
	}
	reg := ops.Registry()
	metrics := relay.NewMetrics(reg)
	admin := ops.NewServer(reg, log, ops.Check{Name: "progress", Ready: func(context.Context) error { return metrics.Ready() }})
	admin.ReportState(metrics.State)
	listener, err := net.Listen("tcp", string(c.cfg.AdminAddr))
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	pool, err := newOutboxPool(ctx, cfg)
	if err != nil {
		listener.Close()
		return err
	}
	shutdown, end := withGracePeriod(ctx, c.cfg.ShutdownTimeout)
	defer end()
	defer connect.ClosePool(shutdown, pool)

	g, gctx := errgroup.WithContext(ctx)
	actx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return admin.Run(actx, listener) })
	systemd := ops.Service{Admin: admin, Listener: listener, Alive: func() error { return ops.LoopAlive(metrics.Turned()) }, Stopping: ctx.Done(), Log: log}
	g.Go(func() error { return systemd.Run(actx) })
	g.Go(func() error {
		runPeriodically(actx, 2*time.Second, jobTimeout, func(ctx context.Context) error {
			status, err := relay.ReadStatus(ctx, pool)
			if err == nil {
				metrics.Looked(status)
			}
			return err
		}, nil)
		return nil
	})
	g.Go(func() error {
		defer stopAdmin()
		client, err := c.connectWithin(gctx, log, 0)
		if err != nil && ctx.Err() != nil { // asked to end while it waited for NATS
			return nil
		}
		if err != nil {
			return err
		}
		defer client.Close()
		return relay.New(client, relay.Options{Database: cfg, Check: c.checkSessions(cfg, log), Logger: log, Metrics: metrics, Trace: c.traceRelay()}).Run(gctx)
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	log.Info("stopped")
	return nil
}

// traceRelay gives what is published together a span with links to the traces that its
// events were written in; nil where nothing is traced.
func (c *relayCommand) traceRelay() func(context.Context, []ingest.Item) (context.Context, func(error)) {
	if !c.tracing.On() {
		return nil
	}
	return func(ctx context.Context, items []ingest.Item) (context.Context, func(error)) {
		return c.tracing.Relay(ctx, len(items), func(i int) map[string][]string { return items[i].Message.Header })
	}
}

// outboxConfig is how to connect to the outbox's database.
func (p *program) outboxConfig() (*pgx.ConnConfig, error) {
	cfg, err := pgxpool.ParseConfig(string(p.cfg.OutboxURL)) // which may say how many connections there are to be
	if err != nil {
		return nil, errors.New("OUTBOX_DATABASE_URL is not right") // never happens: the settings were judged before
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "accountexport relay " + replicaName()
	cfg.ConnConfig.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}).DialContext
	connect.LimitHosts(cfg.ConnConfig)
	return cfg.ConnConfig, nil
}

// newOutboxPool is for looking at the outbox, beside the session that relays it.
func newOutboxPool(ctx context.Context, cfg *pgx.ConnConfig) (*pgxpool.Pool, error) {
	pool, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	pool.ConnConfig, pool.MaxConns, pool.PingTimeout = cfg.Copy(), 1, 2*time.Second
	out, err := pgxpool.NewWithConfig(ctx, pool)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return out, nil
}

// checkSessions refuses a pooler of transactions: the lock that keeps other relays
// standing by, and LISTEN, belong to a session.
func (p *program) checkSessions(cfg *pgx.ConnConfig, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		way, err := connect.DetectPoolMode(ctx, cfg)
		switch {
		case errors.Is(err, connect.ErrMisconfigured):
			return fmt.Errorf("%w: OUTBOX_DATABASE_URL: %w", relay.ErrUnusable, err)
		case err != nil:
			return err
		case way == connect.TransactionPooling:
			return fmt.Errorf("%w: %w: OUTBOX_DATABASE_URL: a pooler of transactions is in between, and relay needs a session of its own: "+
				"it has to name the database past it, or through a pooler of sessions", relay.ErrUnusable, connect.ErrMisconfigured)
		case way == connect.UnknownPooling:
			log.Warn("a pooler is between the relay and PostgreSQL, which had no connection to spare for finding out whether it pools sessions: " +
				"where it pools transactions, OUTBOX_DATABASE_URL has to name the database past it")
		}
		return nil
	}
}

// acceptStream has the outbox go on with the stream that is there.
func (c *relayCommand) acceptStream(ctx context.Context) error {
	cfg, err := c.outboxConfig()
	if err != nil {
		return err
	}
	log := c.logger(c.err)
	client, err := c.connectStream(ctx, log)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := c.confirm(ctx, "From now on the outbox is published to the stream "+string(c.cfg.Stream)+" that is there."); err != nil {
		return err
	}
	a, err := relay.New(client, relay.Options{Database: cfg, Check: c.checkSessions(cfg, log), Logger: log}).AcceptStream(ctx)
	if err != nil {
		return err
	}
	was := "nothing was published from it yet"
	if a.Before.Name != "" {
		was = fmt.Sprintf("it was published to %s up to position %d before", shownStream(a.Before), a.LastPosition)
	}
	line := acceptedStream{Stream: a.Stream.Name, Created: a.Stream.Created.UTC(), Pending: a.Pending}
	if a.Before.Name != "" {
		line.Before = &a.Before.Name
		line.LastPosition = &a.LastPosition
	}
	return c.result(line, "the outbox goes on with %s; %s\n%d messages wait: `projector relay` looks for each in the stream, and publishes those that it lacks\n",
		shownStream(a.Stream), was, a.Pending)
}

// acceptedStream is the result of --accept-stream as JSON.
type acceptedStream struct {
	Stream       string    `json:"stream"`
	Created      time.Time `json:"created"`
	Before       *string   `json:"stream_before"` // null where nothing was published from the outbox yet
	LastPosition *uint64   `json:"last_position_before"`
	Pending      int64     `json:"pending"`
}

func shownStream(s engine.StreamIdentity) string {
	return fmt.Sprintf("stream %s, created %s", s.Name, s.Created.UTC().Format(time.RFC3339))
}
