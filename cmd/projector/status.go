package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/findings"
	"accountexport/internal/relay"
	"accountexport/internal/stream"
	"accountexport/readmodel/connect"
)

// statusCommand is a call of `projector status`.
type statusCommand struct {
	*program

	// The flags.
	watch    bool
	interval time.Duration
	timeout  time.Duration

	// The connections, nil until they are made. They are kept from one poll to the
	// next, and are used by one goroutine.
	client  *stream.Client
	pool    *pgxpool.Pool
	monitor *acts.StatusMonitor

	outboxPool *pgxpool.Pool // nil also where OUTBOX_DATABASE_URL is not set
	outbox     *relay.Status // of the last poll; nil where it is not set, and where it could not be read
	outboxErr  error         // of the last poll: why it could not be read
}

func (p *program) status() *cobra.Command {
	c := statusCommand{program: p, interval: 2 * time.Second, timeout: 10 * time.Second}
	cmd := &cobra.Command{
		Use:   "status [--json] [--watch] [--interval DURATION] [--timeout DURATION]",
		Short: "Show how far the read model is; exit 1 when it is behind and not progressing",
		Long: "Shows how far the read model is, how fast it goes on where it is behind, what of the stream is not as the contract\n" +
			"wants it, how the ledger of erasures is kept, whether one more `projector run` could read the stream, and whether it\n" +
			"would refuse it: then it ends with the status that `run` would end with. Exit 1 when behind and not progressing,\n" +
			"unless that is since projecting is paused, which it says; where nobody could read the stream; while accounts on\n" +
			"the ledger are served still; and while JetStream refuses a message of the outbox. What is only told leaves 0: a pause,\n" +
			"settings of the stream that have cost nothing yet, a ledger that was not exported, a generation that nobody builds any\n" +
			"more, what is on record of why a projector has refused or failed, and what waits in the outbox, which it shows\n" +
			"where OUTBOX_DATABASE_URL is set, or that it cannot be read, for which it waits for half of --timeout.\n\n" +
			"All figures of the read model are of one moment, and the stream's end is of one after it. Where a server does not\n" +
			"answer it says on standard error for what it waits, and ends with 1 after --timeout.\n\n" +
			"With --watch it looks again and again until SIGINT or SIGTERM, and then ends with the status of the last look: on a\n" +
			"terminal in place, elsewhere with an empty line between looks, with --json one object a line. A look that fails is\n" +
			"told, and does not end it.",
		Example: `  # How far is it? Exit status 0 where it is at the end or progresses.
  projector status
  # Watch it catch up.
  projector status --watch
  # How many messages are left to fold?
  projector status --json | jq .lag_events`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("interval") && !c.watch {
				return errors.Join(cli.NoArgs(cmd, args), errors.New("--interval goes with --watch"))
			}
			return cli.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			defer c.close()
			if c.watch {
				return c.watchUntilEnd(cmd.Context())
			}
			st, err := c.poll(cmd.Context())
			if err == nil {
				err = c.show(st)
			}
			if err == nil && c.exitOf(st) != 0 {
				err = cli.Status(c.exitOf(st))
			}
			return err
		},
	}
	p.jsonFlag(cmd, "print JSON")
	cmd.Flags().BoolVar(&c.watch, "watch", false, "look again and again")
	cli.Flag(cmd.Flags(), &c.interval, "interval", durationKind(100*time.Millisecond), "between two looks of --watch")
	cli.Flag(cmd.Flags(), &c.timeout, "timeout", durationKind(time.Second), "how long one look may wait for servers that do not answer")
	return cmd
}

// exitOf is the exit status that goes with what the last poll has found. A message of the
// outbox that JetStream refuses holds up its account until somebody sees to it.
func (c *statusCommand) exitOf(st *acts.Status) int {
	switch {
	case st.Refused != nil:
		return findings.ExitStatus(st.Refused)
	case st.Unhealthy(), c.outbox != nil && len(c.outbox.Refused) > 0:
		return cli.ExitFailure
	}
	return 0
}

// poll asks the servers once, and gives up where one of them does not answer within
// --timeout.
func (c *statusCommand) poll(ctx context.Context) (*acts.Status, error) {
	ctx, w, end := withWaitNotice(ctx, c.timeout, c.err)
	defer end()
	if err := c.connectOnce(ctx, w); err != nil {
		return nil, w.explain(ctx, err)
	}
	c.monitor.OnWait, c.monitor.OnProgress = w.waitFor, w.progressed
	st, err := c.monitor.Poll(ctx)
	if err == nil && c.outboxPool != nil {
		w.waitFor("the outbox's database")
		c.pollOutbox(ctx)
	}
	return st, w.explain(ctx, err)
}

// pollOutbox looks at the outbox. It is the control plane's, and whether it can be read
// says nothing of the read model: where it cannot, all else is shown.
func (c *statusCommand) pollOutbox(ctx context.Context) {
	late := fmt.Errorf("its database has not answered for %v", c.timeout/2)
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout/2, late)
	defer cancel()
	c.outbox, c.outboxErr = nil, nil
	found, err := relay.ReadStatus(ctx, c.outboxPool)
	switch {
	case err == nil:
		c.outbox = &found
	case ctx.Err() != nil:
		c.outboxErr = context.Cause(ctx)
	default:
		c.outboxErr = err
	}
}

// connectOnce connects to both servers, unless an earlier poll has. A failed attempt is
// repeated by the next poll.
func (c *statusCommand) connectOnce(ctx context.Context, w *waitNotice) (err error) {
	if c.client == nil {
		w.waitFor("NATS at " + stream.Redacted(string(c.cfg.NATSURL)))
		// Half of the limit: saying what is wrong with each server takes some seconds.
		if c.client, err = c.connectWithin(ctx, c.logger(c.err), c.timeout/2); err != nil {
			c.client = nil
			return err
		}
	}
	if c.pool == nil {
		if c.pool, err = c.connectDatabase(context.WithoutCancel(ctx)); err != nil {
			c.pool = nil
			return err
		}
		c.monitor = &acts.StatusMonitor{Target: acts.NewTarget(c.client, c.pool)}
	}
	if c.outboxPool == nil && c.cfg.OutboxURL != "" {
		cfg, err := c.outboxConfig()
		if err != nil {
			return err
		}
		if c.outboxPool, err = newOutboxPool(context.WithoutCancel(ctx), cfg); err != nil {
			c.outboxPool = nil
			return err
		}
	}
	return nil
}

// close closes the connections, and does not wait for a server that does not answer.
func (c *statusCommand) close() {
	for _, pool := range []*pgxpool.Pool{c.pool, c.outboxPool} {
		if pool == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		connect.ClosePool(ctx, pool)
	}
	if c.client != nil {
		c.client.Close()
	}
}

// show prints one status.
func (c *statusCommand) show(st *acts.Status) error {
	if !c.asJSON {
		return c.print(c.out, st)
	}
	enc := json.NewEncoder(c.out)
	if !c.watch {
		enc.SetIndent("", "  ")
	}
	v := statusOf(st)
	v.Outbox = outboxStatusOf(c.outbox, c.outboxErr)
	return enc.Encode(v)
}

// print prints one status for people.
func (c *statusCommand) print(w io.Writer, st *acts.Status) error {
	if err := printStatus(w, st); err != nil {
		return err
	}
	switch {
	case c.outboxErr != nil:
		_, err := fmt.Fprintln(w, "outbox:", outboxProblem(c.outboxErr))
		return err
	case c.outbox != nil:
		return printOutbox(w, c.outbox)
	}
	return nil
}

// watchUntilEnd polls until ctx ends, and then ends with the exit status of the last
// poll. A poll that fails is printed, and does not end it.
func (c *statusCommand) watchUntilEnd(ctx context.Context) error {
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	last := cli.ExitFailure // where no poll has ended
	for first := true; ; first = false {
		st, err := c.poll(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			last = findings.ExitStatus(err)
			err = c.showFailure(err, first)
		} else {
			last = c.exitOf(st)
			err = c.showNext(st, first)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
			continue
		}
		break
	}
	if last != 0 {
		return cli.Status(last)
	}
	return nil
}

// showNext prints a status in the place of the one before on a terminal, and below it
// elsewhere.
func (c *statusCommand) showNext(st *acts.Status, first bool) error {
	switch {
	case c.asJSON:
		return c.show(st)
	case c.terminal:
		return inPlace(c.out, func(w io.Writer) error { return c.print(w, st) })
	case !first:
		if _, err := fmt.Fprintln(c.out); err != nil {
			return err
		}
	}
	return c.show(st)
}

// showFailure prints that a poll failed, in the place where its status would be: an
// older status is not left there as if it were current.
func (c *statusCommand) showFailure(failed error, first bool) error {
	if c.asJSON {
		return json.NewEncoder(c.out).Encode(map[string]string{"error": failed.Error()})
	}
	printFailure := func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "this look failed: %v\n", failed)
		return err
	}
	if c.terminal {
		return inPlace(c.out, printFailure)
	}
	if !first {
		if _, err := fmt.Fprintln(c.out); err != nil {
			return err
		}
	}
	return printFailure(c.out)
}
