package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/projections"
)

func (p *program) history() *cobra.Command {
	var account events.UUID
	cmd := &cobra.Command{
		Use:   "history --account ID",
		Short: "List an account's messages and, field by field, what each of them changed",
		Long: "Reads the account's messages from the stream; the database is not asked. Values are shown: they are the user's\n" +
			"own data, and may hold secrets.",
		Annotations: map[string]string{streamOnly: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			client, err := p.connectStream(ctx, p.cfg.Logger(p.err))
			if err != nil {
				return err
			}
			defer client.Close()
			heard, err := acts.History(ctx, client, account, p.printEntry)
			if err == nil && !heard {
				return fmt.Errorf("stream %s holds no message of account %s: it was never heard of there, or its messages are gone "+
					"(`projector verify --account %[2]s` tells whether the read model has it)", p.cfg.Stream, account)
			}
			return err
		},
	}
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	return cmd
}

func (p *program) printEntry(e projections.Entry) error {
	typ := events.ShortType(e.Type)
	if typ == "" {
		typ = "?"
	}
	reason := ""
	if e.Reason != nil {
		reason = ": " + e.Reason.Error()
	}
	if _, err := fmt.Fprintf(p.out, "%d  %s  %s  %s%s\n", e.Position, e.Time.UTC().Format(time.RFC3339Nano), typ, e.Outcome, reason); err != nil {
		return err
	}
	for _, c := range e.Changes {
		at := c.Entity
		if c.ID != "" {
			at += "[" + c.ID + "]"
		}
		if _, err := fmt.Fprintf(p.out, "    %s.%s: %s → %s\n", at, c.Field, orNothing(c.From), orNothing(c.To)); err != nil {
			return err
		}
	}
	return nil
}

func orNothing(v []byte) string {
	if v == nil {
		return "–"
	}
	return string(v)
}
