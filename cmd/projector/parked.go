package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

func (p *program) parked() *cobra.Command {
	return group("parked", "See the messages that no fold accepts, and mend what they cost",
		`  # What was parked, by reason?
  projector parked list --group-by reason
  # A newer program accepts them: fold them.
  projector parked retry --all`,
		p.parkedList(), p.parkedShow(), p.parkedExport(), p.parkedRetry(), p.parkedDismiss(), p.parkedUndismiss())
}

func (p *program) parkedShow() *cobra.Command {
	var payload, found bool
	var position uint64
	cmd := &cobra.Command{
		Use:   "show POSITION [--found] [--payload] [--json]",
		Short: "Show one parked message; what was found and its headers and payload only when asked for, they may hold secrets",
		Example: `  # Why was it parked? What was found in it is masked.
  projector parked show 1234
  # What exactly did it hold? That may be a secret.
  projector parked show 1234 --payload`,
		Args: cli.Arg(&position, positionKind()),
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			m, err := admin.FindParked(ctx, pool, position)
			if errors.Is(err, readmodel.ErrNotFound) {
				return notParkedAt(position)
			}
			if err != nil {
				return err
			}
			detail := fmt.Sprintf("position %d, %s", position, shownOf(found, payload))
			if err := p.look(ctx, pool, acts.ParkedViewed, m.Account, detail); err != nil {
				return err
			}
			if p.asJSON {
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
		}),
	}
	cmd.Flags().BoolVar(&found, "found", false, "print what was found in the message where something else was wanted")
	cmd.Flags().BoolVar(&payload, "payload", false, "print that, headers and payload")
	p.jsonFlag(cmd, "print JSON")
	return cmd
}

// shownOf says what of messages is shown.
func shownOf(found, payload bool) string {
	switch {
	case payload:
		return "payload"
	case found:
		return "what was found"
	}
	return "masked"
}

func notParkedAt(position uint64) error {
	return fmt.Errorf("no message is parked at position %d; `projector parked list` shows those that are", position)
}

// shownReason is a reason as it is printed: the values found in the message are
// masked, unless they are asked for.
func shownReason(reason string, found bool) string {
	if found {
		return cli.Printable(reason)
	}
	return events.MaskReason(reason)
}

func (p *program) parkedDismiss() *cobra.Command {
	return p.parkedChange(&parkedChange{
		what:  acts.ParkedDismiss,
		use:   "dismiss (POSITION|FILTER|--all) --note TEXT [--yes] [--json]",
		short: "Stop counting parked messages whose meaning was published anew",
		long: "The messages stay on record with the note, in every generation folded from this stream, and no longer count in\n" +
			"Export-Parked and projector_parked_events. A newer program that accepts them applies them all the same: a document\n" +
			"follows from the stream alone. By POSITION a dismissal that is there gets the new note; by filters it keeps its own.\n\n" +
			"On a terminal it asks before it dismisses more than one; elsewhere it goes on unasked. Cut off, the same call dismisses\n" +
			"the rest.",
		example: `  # Its meaning was published again.
  projector parked dismiss 1234 --note "published again at 1301"
  # All of one type, of the last two hours.
  projector parked dismiss --type user.email_changed.v1 --since 2h --note "a test of ours"`,
		noteUsage: `a text that says why, such as "published again at 1234"`,
		question: func(s *acts.ParkedSelection) string {
			return fmt.Sprintf("%d of %d parked messages no longer count.", len(s.Messages)-s.Dismissed(), s.Total)
		},
		apply: func(ctx context.Context, s *acts.ParkedSelection, note string, byPosition bool) (int, error) {
			return s.Dismiss(ctx, note, byPosition)
		},
		one: "is dismissed: it stays on record, and no longer counts", oneUnchanged: "is dismissed: it stays on record, and no longer counts",
		many:      "are dismissed: they stay on record, and no longer count",
		unchanged: func(s *acts.ParkedSelection) int { return s.Dismissed() }, manyUnchanged: "dismissed already",
	})
}

func (p *program) parkedUndismiss() *cobra.Command {
	return p.parkedChange(&parkedChange{
		what:  acts.ParkedUndismiss,
		use:   "undismiss (POSITION|FILTER|--all) --note TEXT [--yes] [--json]",
		short: "Have parked messages count again that were dismissed",
		long: "The dismissal and the note stay on record, in every generation folded from this stream. On a terminal it asks before it\n" +
			"takes back more than one; elsewhere it goes on unasked.",
		example: `  # It counts again.
  projector parked undismiss 1234 --note "it was another event"
  # All of one account.
  projector parked undismiss --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --note "not published again after all"`,
		noteUsage: `a text that says why, such as "it was another event"`,
		question: func(s *acts.ParkedSelection) string {
			return fmt.Sprintf("%d of %d parked messages count again.", s.Dismissed(), s.Total)
		},
		apply: func(ctx context.Context, s *acts.ParkedSelection, note string, _ bool) (int, error) {
			return s.Undismiss(ctx, note)
		},
		one: "is no longer dismissed, and counts again", oneUnchanged: "was not dismissed",
		many:      "are no longer dismissed, and count again",
		unchanged: func(s *acts.ParkedSelection) int { return len(s.Messages) - s.Dismissed() }, manyUnchanged: "not dismissed",
	})
}
