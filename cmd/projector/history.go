package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
	"accountexport/projections"
)

func (p *program) history() *cobra.Command {
	var account events.UUID
	cmd := &cobra.Command{
		Use:   "history --account ID [--json]",
		Short: "List an account's messages and, field by field, what each of them changed",
		Long: "Reads the account's messages from the stream; the database is not asked. Values are shown: they are the user's\n" +
			"own data, and may hold secrets.",
		Example: `  # What has changed the document, message by message?
  projector history --account 3c90c3cc-0d44-4b50-8888-8dd25736052a
  # Which of its messages were parked, and why?
  projector history --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --json | jq 'select(.outcome == "parked") | {position, reason}'`,
		Annotations: map[string]string{streamOnly: "yes"},
		RunE: p.onStream(func(ctx context.Context, client *stream.Client) error {
			found, err := acts.History(ctx, client, account, p.printEntry)
			if err == nil && !found {
				return fmt.Errorf("stream %s holds no message of account %s: it was never heard of there, or its messages are gone "+
					"(`projector verify --account %[2]s` tells whether the read model has it)", p.cfg.Stream, account)
			}
			return err
		}),
	}
	p.jsonFlag(cmd, "print a JSON line for each message")
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	return cmd
}

// entryLine is a message of an account as JSON.
type entryLine struct {
	Position uint64       `json:"position"`
	Time     time.Time    `json:"time"` // the stream's own timestamp
	Type     string       `json:"type"` // empty where the message could not be read
	Outcome  string       `json:"outcome"`
	Reason   string       `json:"reason"` // why it is parked; empty where it is not
	Changes  []changeLine `json:"changes"`
}

type changeLine struct {
	Entity string          `json:"entity"`
	ID     string          `json:"id"` // of the entity, where an account has several of them
	Field  string          `json:"field"`
	From   json.RawMessage `json:"from"` // null where there was no value
	To     json.RawMessage `json:"to"`
}

// printEntry prints what one message changed: its own line, and a line for each
// field.
func (p *program) printEntry(e projections.HistoryEntry) error {
	l := entryLine{Position: e.Position, Time: e.Time.UTC(), Type: e.Type, Outcome: e.Outcome.String(), Changes: []changeLine{}}
	if e.Reason != nil {
		l.Reason = e.Reason.Error()
	}
	if p.asJSON {
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

// orNothing is a dash for a value that is not there.
func orNothing(v []byte) string {
	if v == nil {
		return "–"
	}
	return string(v)
}
