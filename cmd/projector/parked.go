package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

func (p *program) parked() *cobra.Command {
	cmd := &cobra.Command{Use: "parked", Short: "See the messages that no fold accepts, and mend what they cost"}
	cmd.AddCommand(p.parkedList(), p.parkedShow(), p.parkedRetry(), p.parkedDismiss(), p.parkedUndismiss())
	return cmd
}

func (p *program) parkedShow() *cobra.Command {
	var payload, found, asJSON bool
	var position uint64
	cmd := &cobra.Command{
		Use:   "show POSITION [--found] [--payload] [--json]",
		Short: "Show one parked message; what was found and its headers and payload only when asked for, they may hold secrets",
		Args:  cli.Arg(&position, positionKind()),
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			m, err := admin.FindParked(cmd.Context(), pool, position)
			if errors.Is(err, readmodel.ErrNotFound) {
				return notParkedAt(position)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(shownMessage(m, found || payload, payload))
			}
			fmt.Fprintf(p.out, "position   %d\npartition  %d\nsent       %s\nsubject    %s\n", m.Position, m.Partition,
				m.SentAt.UTC().Format(time.RFC3339Nano), cli.Printable(m.Subject))
			if m.Account != nil {
				fmt.Fprintf(p.out, "account    %s\n", m.Account)
			}
			fmt.Fprintf(p.out, "type       %s\nreason     %s\n", cli.Printable(m.Type), shownReason(m.Reason, found || payload))
			for _, u := range m.Undismissed {
				fmt.Fprintf(p.out, "dismissed  %s: %s\nundone     %s: %s\n", u.DismissedAt.UTC().Format(time.RFC3339), cli.Printable(u.Dismissal),
					u.At.UTC().Format(time.RFC3339), cli.Printable(u.Note))
			}
			if m.DismissedAt != nil {
				fmt.Fprintf(p.out, "dismissed  %s: %s\n", m.DismissedAt.UTC().Format(time.RFC3339), cli.Printable(m.Note))
			}
			if !payload {
				_, err := fmt.Fprintf(p.out, "headers    %d bytes, payload %d bytes, masked: --payload shows them, --found what was found\n",
					len(m.Headers), len(m.Payload))
				return err
			}
			_, err = fmt.Fprintf(cli.Exact(p.out), "headers\n%spayload\n%s\n", m.Headers, m.Payload)
			return err
		},
	}
	cmd.Flags().BoolVar(&found, "found", false, "print what was found in the message where something else was wanted")
	cmd.Flags().BoolVar(&payload, "payload", false, "print that, headers and payload")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func notParkedAt(position uint64) error {
	return fmt.Errorf("no message is parked at position %d; `projector parked list` shows those that are", position)
}

// shownReason masks what was found in the message, unless that is asked for.
func shownReason(reason string, found bool) string {
	if found {
		return cli.Printable(reason)
	}
	return events.MaskReason(reason)
}

func (p *program) parkedDismiss() *cobra.Command {
	var note string
	return p.parkedAct(&parkedAct{
		use:   "dismiss (POSITION|FILTER|--all) --note TEXT [--yes] [--json]",
		short: "Stop counting parked messages whose meaning was published anew",
		long: "The messages stay on record with the note, in every generation folded from this stream, and no longer count in\n" +
			"Export-Parked and projector_parked_events. A newer program that accepts them applies them all the same: a document\n" +
			"follows from the stream alone. By POSITION a dismissal that is there gets the new note; by filters it keeps its own.\n\n" +
			"On a terminal it asks before it dismisses more than one; elsewhere it goes on unasked. Cut off, the same call dismisses\n" +
			"the rest.",
		note: &note, noteUsage: `a text that says why, such as "published again at 1234"`,
		question: func(c *acts.ParkedSelection) string {
			return fmt.Sprintf("%d of %d parked messages no longer count.", len(c.Messages)-c.Dismissed(), c.Total)
		},
		act: func(cmd *cobra.Command, c *acts.ParkedSelection, one bool) (int, error) {
			return c.Dismiss(cmd.Context(), note, one)
		},
		done: "is dismissed: it stays on record, and no longer counts", dones: "are dismissed: they stay on record, and no longer count",
		already: func(c *acts.ParkedSelection) int { return c.Dismissed() }, were: "dismissed already",
	})
}

func (p *program) parkedUndismiss() *cobra.Command {
	var note string
	return p.parkedAct(&parkedAct{
		use:   "undismiss (POSITION|FILTER|--all) --note TEXT [--yes] [--json]",
		short: "Have parked messages count again that were dismissed",
		long: "The dismissal and the note stay on record, in every generation folded from this stream. On a terminal it asks before it\n" +
			"takes back more than one; elsewhere it goes on unasked.",
		note: &note, noteUsage: `a text that says why, such as "it was another event"`,
		question: func(c *acts.ParkedSelection) string {
			return fmt.Sprintf("%d of %d parked messages count again.", c.Dismissed(), c.Total)
		},
		act: func(cmd *cobra.Command, c *acts.ParkedSelection, _ bool) (int, error) {
			return c.Undismiss(cmd.Context(), note)
		},
		done: "is no longer dismissed, and counts again", dones: "are no longer dismissed, and count again",
		already: func(c *acts.ParkedSelection) int { return len(c.Messages) - c.Dismissed() }, were: "not dismissed",
	})
}
