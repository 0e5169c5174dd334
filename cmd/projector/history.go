package main

import (
	"encoding/json"
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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history --account ID [--json]",
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
			heard, err := acts.History(ctx, client, account, func(e projections.HistoryEntry) error { return p.printEntry(e, asJSON) })
			if err == nil && !heard {
				return fmt.Errorf("stream %s holds no message of account %s: it was never heard of there, or its messages are gone "+
					"(`projector verify --account %[2]s` tells whether the read model has it)", p.cfg.Stream, account)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON line for each message")
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	return cmd
}

// entryLine is a message of an account as JSON.
type entryLine struct {
	Position uint64       `json:"position"`
	Time     time.Time    `json:"time"` // the stream's own timestamp
	Type     string       `json:"type"` // empty where it could not be read
	Outcome  string       `json:"outcome"`
	Reason   string       `json:"reason"` // where it is parked
	Changes  []changeLine `json:"changes"`
}

type changeLine struct {
	Entity string          `json:"entity"`
	ID     string          `json:"id"` // where there are several
	Field  string          `json:"field"`
	From   json.RawMessage `json:"from"` // null: nothing
	To     json.RawMessage `json:"to"`
}

func (p *program) printEntry(e projections.HistoryEntry, asJSON bool) error {
	l := entryLine{Position: e.Position, Time: e.Time.UTC(), Type: e.Type, Outcome: e.Outcome.String(), Changes: []changeLine{}}
	if e.Reason != nil {
		l.Reason = e.Reason.Error()
	}
	if asJSON {
		for _, c := range e.Changes {
			l.Changes = append(l.Changes, changeLine{c.Entity, c.ID, c.Field, c.From, c.To})
		}
		return p.printJSON(l)
	}
	typ, reason := cli.Printable(events.ShortType(e.Type)), ""
	if typ == "" {
		typ = "?"
	}
	if l.Reason != "" {
		reason = ": " + cli.Printable(l.Reason)
	}
	if _, err := fmt.Fprintf(p.out, "%d  %s  %s  %s%s\n", e.Position, l.Time.Format(time.RFC3339Nano), typ, e.Outcome, reason); err != nil {
		return err
	}
	for _, c := range e.Changes {
		at := c.Entity
		if c.ID != "" {
			at += "[" + cli.Printable(c.ID) + "]"
		}
		if _, err := fmt.Fprintf(p.out, "    %s.%s: %s → %s\n", at, cli.Printable(c.Field), cli.Printable(orNothing(c.From)),
			cli.Printable(orNothing(c.To))); err != nil {
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
