package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
	"accountexport/projections"
)

func (p *program) export() *cobra.Command {
	var account events.UUID
	var at asOfFlags
	cmd := &cobra.Command{
		Use:   "export --account ID [--at POSITION|TIME] [--at-event-time]",
		Short: "Print an account's document, folded from the stream alone",
		Long: "Folds the account's own messages, and its tier's, from the stream. The database is asked for\n" +
			"nothing; where DATABASE_URL is set the look is put on record there first (projector audit list).\n" +
			"TIME is held against the stream's own timestamps: when messages were stored. With --at-event-time it is held against the\n" +
			"time that each event has itself: exactly the account's and its tier's messages whose time is not later are folded, in\n" +
			"stream order. History that was brought in later has its past in that sense. Messages without a sound time, which are\n" +
			"parked, are left out, and standard error says how many.\n" +
			"The document goes to standard output; where there is none, the reason goes to standard error, with exit status 1.",
		Example: `  # What is the document as the stream has it?
  projector export --account 3c90c3cc-0d44-4b50-8888-8dd25736052a
  # What was it on the 25th, and what has changed since?
  projector export --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --at 2026-03-25T00:00:00Z > before.json
  projector export --account 3c90c3cc-0d44-4b50-8888-8dd25736052a | diff before.json -
  # What was it after message 1234?
  projector export --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --at 1234
  # What had happened by the end of 2021, though the stream holds it since this year only?
  projector export --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --at 2021-12-31T23:59:59Z --at-event-time`,
		Args:        at.args(false),
		Annotations: map[string]string{streamOnly: "yes"},
		RunE: p.onStream(func(ctx context.Context, client *stream.Client) error {
			if _, err := client.Info(ctx); err != nil { // nothing is recorded of a stream that is not there
				return err
			}
			if err := p.lookAtStream(ctx, acts.AccountExport, &account, at.detail()); err != nil {
				return err
			}
			d, found, err := acts.DocumentAsOf(ctx, client, account, at.asOf())
			if err != nil {
				return err
			}
			fmt.Fprint(p.err, leftOut(d.Timeless, "the account and its tier"))
			if !found {
				return fmt.Errorf("account %s was never heard of on stream %s%s", account, p.cfg.Stream, at.asOf())
			}
			switch d.State {
			case projections.Erased:
				return fmt.Errorf("account %s was erased at position %d", account, d.Position)
			case projections.Incomplete:
				return fmt.Errorf("account %s is not complete at position %d: it lacks %s", account, d.Position, strings.Join(d.Missing, ", "))
			}
			_, err = fmt.Fprintf(cli.Exact(p.out), "%s\n", d.Body)
			return err
		}),
	}
	at.add(cmd, "as it was at a POSITION of the stream, or at a TIME (RFC 3339) by the stream's own timestamps",
		"--at TIME is held against the time that each event has itself")
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	return cmd
}
