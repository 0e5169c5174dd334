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
	"accountexport/internal/stream"
	"accountexport/readmodel/connect"
)

// statusCommand is a call of `projector status`.
type statusCommand struct {
	p        *program
	asJSON   bool
	watch    bool
	interval time.Duration
	limit    time.Duration

	client *stream.Client // nil: not connected
	pool   *pgxpool.Pool
	on     *acts.StatusMonitor
}

func (p *program) status() *cobra.Command {
	l := statusCommand{p: p, interval: 2 * time.Second, limit: 10 * time.Second}
	cmd := &cobra.Command{
		Use:   "status [--json] [--watch] [--interval DURATION] [--timeout DURATION]",
		Short: "Show how far the read model is; exit 1 when it is behind and not progressing",
		Long: "Shows how far the read model is, how fast it goes on where it is behind, what of the stream is not as the contract\n" +
			"wants it, how the ledger of erasures is kept, whether one more `projector run` could read the stream, and whether it\n" +
			"would refuse it: then it ends with the status that `run` would end with. Exit 1 when behind and not progressing,\n" +
			"unless that is since projecting is paused, which it says; where nobody could read the stream; and while accounts on\n" +
			"the ledger are served still. What is only told leaves 0: a pause, settings of the stream that have cost nothing yet,\n" +
			"a ledger that was not exported, a generation that nobody builds any more.\n\n" +
			"All figures of the read model are of one moment, and the stream's end is of one after it. Where a server does not\n" +
			"answer it says on standard error for what it waits, and ends with 1 after --timeout.\n\n" +
			"With --watch it looks again and again until SIGINT or SIGTERM, and then ends with the status of the last look: on a\n" +
			"terminal in place, elsewhere with an empty line between looks, with --json one object a line. A look that fails is\n" +
			"told, and does not end it.",
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("interval") && !l.watch {
				return errors.Join(cli.NoArgs(cmd, args), errors.New("--interval goes with --watch"))
			}
			return cli.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			defer l.close()
			if l.watch {
				return l.again(cmd.Context())
			}
			st, err := l.poll(cmd.Context())
			if err == nil {
				err = l.show(st)
			}
			if err == nil && exitOf(st) != 0 {
				err = cli.Status(exitOf(st))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&l.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&l.watch, "watch", false, "look again and again")
	cli.Flag(cmd.Flags(), &l.interval, "interval", durationKind(100*time.Millisecond), "between two looks of --watch")
	cli.Flag(cmd.Flags(), &l.limit, "timeout", durationKind(time.Second), "how long one look may wait for servers that do not answer")
	return cmd
}

// exitOf is the status that a look ends with.
func exitOf(st *acts.Status) int {
	switch {
	case st.Refused != nil:
		return exitCode(st.Refused)
	case st.Unhealthy():
		return cli.ExitFailure
	}
	return 0
}

// poll looks once, within the limit.
func (l *statusCommand) poll(ctx context.Context) (*acts.Status, error) {
	ctx, w, end := withWaitNotice(ctx, l.limit, l.p.err)
	defer end()
	if err := l.connect(ctx, w); err != nil {
		return nil, w.explain(ctx, err)
	}
	l.on.OnWait, l.on.OnProgress = w.waits, w.goes
	st, err := l.on.Poll(ctx)
	return st, w.explain(ctx, err)
}

// connect connects to both where that was not done.
func (l *statusCommand) connect(ctx context.Context, w *waitNotice) (err error) {
	if l.client == nil {
		w.waits("NATS at " + stream.Redacted(string(l.p.cfg.NATSURL)))
		// What is then said of each server takes some seconds, too.
		if l.client, err = l.p.connectWithin(ctx, l.p.cfg.Logger(l.p.err), l.limit/2); err != nil {
			l.client = nil
			return err
		}
	}
	if l.pool == nil {
		if l.pool, err = l.p.connectDatabase(context.WithoutCancel(ctx)); err != nil {
			l.pool = nil
			return err
		}
		l.on = &acts.StatusMonitor{Target: acts.NewTarget(l.client, l.pool)}
	}
	return nil
}

// close does not wait for a server that does not answer.
func (l *statusCommand) close() {
	if l.pool != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		connect.ClosePool(ctx, l.pool)
	}
	if l.client != nil {
		l.client.Close()
	}
}

// show prints a look.
func (l *statusCommand) show(st *acts.Status) error {
	if !l.asJSON {
		return printStatus(l.p.out, st)
	}
	enc := json.NewEncoder(l.p.out)
	if !l.watch {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(statusOf(st))
}

// again looks until ctx ends.
func (l *statusCommand) again(ctx context.Context) error {
	ticker := time.NewTicker(l.interval)
	defer ticker.Stop()
	last := cli.ExitFailure // of no look
	for first := true; ; first = false {
		st, err := l.poll(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			last = exitCode(err)
			err = l.showFailure(err, first)
		} else {
			last = exitOf(st)
			err = l.showNext(st, first)
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

// showNext prints a look in the place of the one before, or below it.
func (l *statusCommand) showNext(st *acts.Status, first bool) error {
	switch {
	case l.asJSON:
		return l.show(st)
	case l.p.terminal:
		return inPlace(l.p.out, func(w io.Writer) error { return printStatus(w, st) })
	case !first:
		if _, err := fmt.Fprintln(l.p.out); err != nil {
			return err
		}
	}
	return l.show(st)
}

// showFailure tells of a look that failed: what was seen before it is not taken
// for what is.
func (l *statusCommand) showFailure(failed error, first bool) error {
	if l.asJSON {
		return json.NewEncoder(l.p.out).Encode(map[string]string{"error": failed.Error()})
	}
	tell := func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "this look failed: %v\n", failed)
		return err
	}
	if l.p.terminal {
		return inPlace(l.p.out, tell)
	}
	if !first {
		if _, err := fmt.Fprintln(l.p.out); err != nil {
			return err
		}
	}
	return tell(l.p.out)
}
