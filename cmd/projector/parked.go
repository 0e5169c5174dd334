package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/readmodel"
)

func (p *program) parked() *cobra.Command {
	cmd := &cobra.Command{Use: "parked", Short: "See the messages that no fold accepts"}
	cmd.AddCommand(p.parkedList(), p.parkedShow(), p.parkedRetry(), p.parkedDismiss())
	return cmd
}

func (p *program) parkedList() *cobra.Command {
	var account string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List parked messages in stream order",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var only *events.UUID
			if account != "" {
				id, err := accountID(account)
				if err != nil {
					return err
				}
				only = &id
			}
			if limit <= 0 {
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
			err = readmodel.ListParked(cmd.Context(), pool, only, 0, limit, func(m readmodel.Parked) error {
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
	cmd.Flags().StringVar(&account, "account", "", "only this account's")
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most so many; 0 for all")
	return cmd
}

func (p *program) parkedShow() *cobra.Command {
	var payload bool
	cmd := &cobra.Command{
		Use:   "show POSITION",
		Short: "Show one parked message; its headers and payload only with --payload, they may hold secrets",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			position, err := parkedPosition(args[0])
			if err != nil {
				return err
			}
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
	cmd := &cobra.Command{
		Use:   "dismiss POSITION --note TEXT",
		Short: "Stop counting a parked message whose meaning was published anew",
		Long: "The message stays on record with the note, in every generation folded from this stream, and no longer counts in\n" +
			"Export-Parked and projector_parked_events. A newer program that accepts it applies it all the same: a document\n" +
			"follows from the stream alone.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			position, err := parkedPosition(args[0])
			if err != nil {
				return err
			}
			if note = strings.TrimSpace(note); note == "" || !utf8.ValidString(note) || strings.ContainsRune(note, 0) {
				return errors.New("--note: want a text that says why, such as \"published again at 1234\"")
			}
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			err = readmodel.Dismiss(cmd.Context(), pool, position, note)
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
	cmd.Flags().StringVar(&note, "note", "", "why")
	_ = cmd.MarkFlagRequired("note") // fails for a flag that does not exist
	return cmd
}

func parkedPosition(arg string) (uint64, error) {
	position, err := strconv.ParseUint(arg, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("POSITION: found %q, want a stream sequence, such as 1234", arg)
	}
	return position, nil
}

func accountID(s string) (events.UUID, error) {
	id, err := events.ParseUUID(s)
	if err != nil {
		return id, fmt.Errorf("--account: %w", err)
	}
	return id, nil
}
