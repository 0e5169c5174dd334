package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/cli"
	"accountexport/readmodel"
)

func (p *program) parked() *cobra.Command {
	cmd := &cobra.Command{Use: "parked", Short: "See the messages that no fold accepts"}
	cmd.AddCommand(p.parkedList(), p.parkedShow(), p.parkedRetry(), p.parkedDismiss())
	return cmd
}

func (p *program) parkedList() *cobra.Command {
	var account *events.UUID
	limit := 1000
	cmd := &cobra.Command{
		Use:   "list [--account ID] [--limit N]",
		Short: "List parked messages in stream order",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit == 0 {
				limit = math.MaxInt32
			}
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "POSITION\tSENT\tSUBJECT\tTYPE\tREASON\tDISMISSED")
			n := 0
			err = readmodel.ListParked(cmd.Context(), pool, account, 0, limit, func(m readmodel.Parked) error {
				n++
				_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", m.Position, m.SentAt.UTC().Format(time.RFC3339), m.Subject, m.Type, m.Reason, m.Note)
				return err
			})
			if err != nil {
				return err
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if n == limit {
				fmt.Fprintf(p.out, "… the first %d; --limit 0 lists all\n", n)
			}
			return nil
		},
	}
	cli.Flag(cmd.Flags(), &account, "account", maybe(accountKind()), "only this account's")
	cli.Flag(cmd.Flags(), &limit, "limit", cli.Whole("N", 0, math.MaxInt32), "at most so many; 0 for all")
	return cmd
}

func (p *program) parkedShow() *cobra.Command {
	var payload bool
	var position uint64
	cmd := &cobra.Command{
		Use:   "show POSITION [--payload]",
		Short: "Show one parked message; its headers and payload only with --payload, they may hold secrets",
		Args:  cli.Arg(&position, positionKind()),
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			m, err := readmodel.FindParked(cmd.Context(), pool, position)
			if errors.Is(err, readmodel.ErrNotFound) {
				return fmt.Errorf("no message is parked at position %d; `projector parked list` shows those that are", position)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(p.out, "position   %d\npartition  %d\nsent       %s\nsubject    %s\n", m.Position, m.Partition,
				m.SentAt.UTC().Format(time.RFC3339Nano), m.Subject)
			if m.Account != nil {
				fmt.Fprintf(p.out, "account    %s\n", m.Account)
			}
			fmt.Fprintf(p.out, "type       %s\nreason     %s\n", m.Type, m.Reason)
			if m.DismissedAt != nil {
				fmt.Fprintf(p.out, "dismissed  %s: %s\n", m.DismissedAt.UTC().Format(time.RFC3339), m.Note)
			}
			if !payload {
				fmt.Fprintf(p.out, "headers    %d bytes, payload %d bytes, masked: --payload shows them\n", len(m.Headers), len(m.Payload))
				return nil
			}
			fmt.Fprintf(p.out, "headers\n%spayload\n%s\n", m.Headers, m.Payload)
			return nil
		},
	}
	cmd.Flags().BoolVar(&payload, "payload", false, "print headers and payload")
	return cmd
}

func (p *program) parkedDismiss() *cobra.Command {
	var note string
	var position uint64
	cmd := &cobra.Command{
		Use:   "dismiss POSITION --note TEXT",
		Short: "Stop counting a parked message whose meaning was published anew",
		Long: "The message stays on record with the note, in every generation folded from this stream, and no longer counts in\n" +
			"Export-Parked and projector_parked_events. A newer program that accepts it applies it all the same: a document\n" +
			"follows from the stream alone.",
		Args: cli.Arg(&position, positionKind()),
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			err = readmodel.Dismiss(cmd.Context(), pool, position, strings.TrimSpace(note))
			if errors.Is(err, readmodel.ErrNotFound) {
				return fmt.Errorf("no message is parked at position %d; `projector parked list` shows those that are", position)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.out, "message %d is dismissed: it stays on record, and no longer counts\n", position)
			return err
		},
	}
	cli.Required(cmd.Flags(), &note, "note", cli.Text("TEXT", `a text that says why, such as "published again at 1234"`), "why")
	return cmd
}
