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
	var at asOfFlags
	cmd := &cobra.Command{
		Use:   "history --account ID [--at POSITION|TIME] [--at-event-time] [--json]",
		Short: "List an account's messages and, field by field, what each of them changed",
		Long: "Reads the account's messages from the stream; the database is asked for nothing, and where\n" +
			"DATABASE_URL is set the look is put on record there first (projector audit list). Values are shown: they are the user's\n" +
			"own data, and may hold secrets.\n" +
			"Times are the stream's own timestamps: when messages were stored, and so is the TIME of --at. With --at-event-time both\n" +
			"are those that the events have themselves, and the heading says so. Messages stay in stream order, in which they are\n" +
			"folded; with --at TIME they are exactly those whose own time is not later. Messages without a sound time, which are\n" +
			"parked, are then left out and counted; without --at they are listed.",
		Example: `  # What has changed the document, message by message?
  projector history --account 3c90c3cc-0d44-4b50-8888-8dd25736052a
  # Which of its messages were parked, and why?
  projector history --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --json | jq 'select(.outcome == "parked") | {position, reason}'
  # What had happened by the end of 2021, though the stream holds it since this year only?
  projector history --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --at 2021-12-31T23:59:59Z --at-event-time`,
		Annotations: map[string]string{streamOnly: "yes"},
		Args:        at.args(true),
		RunE: p.onStream(func(ctx context.Context, client *stream.Client) error {
			if _, err := client.Info(ctx); err != nil { // nothing is recorded of a stream that is not there
				return err
			}
			if err := p.lookAtStream(ctx, acts.AccountHistory, &account, at.detail()); err != nil {
				return err
			}
			show := entryPrinter{program: p, eventTime: at.eventTime}
			n, err := acts.History(ctx, client, account, at.asOf(), show.entry)
			switch {
			case err != nil:
				return err
			case n.Messages == 0 && at.at.Position == 0:
				return fmt.Errorf("stream %s holds no message of account %s: it was never heard of there, or its messages are gone "+
					"(`projector verify --account %[2]s` tells whether the read model has it)", p.cfg.Stream, account)
			}
			fmt.Fprint(p.notes(), leftOut(n.Timeless, "the account"))
			if show.entries == 0 {
				return fmt.Errorf("stream %s holds no message of account %s%s", p.cfg.Stream, account, at.asOf())
			}
			return nil
		}),
	}
	p.jsonFlag(cmd, "print a JSON line for each message")
	at.add(cmd, "only messages up to a POSITION of the stream, or to a TIME (RFC 3339) by the stream's own timestamps",
		"show the times that the events have themselves, and hold --at TIME against them")
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	return cmd
}

// entryLine is a message of an account as JSON.
type entryLine struct {
	Position  uint64       `json:"position"`
	Time      time.Time    `json:"time"`       // the stream's own timestamp
	EventTime *time.Time   `json:"event_time"` // the event's own time; null where it has no sound one
	Type      string       `json:"type"`       // empty where the message could not be read
	Outcome   string       `json:"outcome"`
	Reason    string       `json:"reason"` // why it is parked; empty where it is not
	Changes   []changeLine `json:"changes"`
}

type changeLine struct {
	Entity string          `json:"entity"`
	ID     string          `json:"id"` // of the entity, where an account has several of them
	Field  string          `json:"field"`
	From   json.RawMessage `json:"from"` // null where there was no value
	To     json.RawMessage `json:"to"`
}

// entryPrinter prints what messages changed: of each its own line, and a line for each
// field. The first line says whose times are shown.
type entryPrinter struct {
	*program
	eventTime bool
	entries   int
}

func (p *entryPrinter) entry(e projections.HistoryEntry) error {
	p.entries++
	l := entryLine{Position: e.Position, Time: e.Time.UTC(), Type: e.Type, Outcome: e.Outcome.String(), Changes: []changeLine{}}
	if e.At != nil {
		at := e.At.GoTime()
		l.EventTime = &at
	}
	if e.Reason != nil {
		l.Reason = e.Reason.Error()
	}
	if p.asJSON {
		for _, c := range e.Changes {
			l.Changes = append(l.Changes, changeLine{c.Entity, c.ID, c.Field, c.From, c.To})
		}
		return p.printJSON(l)
	}
	heading, shown := "STREAM TIME", l.Time.Format(time.RFC3339Nano)
	if p.eventTime {
		heading, shown = "EVENT TIME", "–"
		if e.At != nil {
			shown = e.At.String()
		}
	}
	if p.entries == 1 {
		fmt.Fprintf(p.out, "POSITION  %s  TYPE  OUTCOME\n", heading) // whoever calls is told of output that is lost
	}
	typ, reason := cli.Printable(events.ShortType(e.Type)), ""
	if typ == "" {
		typ = "?"
	}
	if l.Reason != "" {
		reason = ": " + cli.Printable(l.Reason)
	}
	if _, err := fmt.Fprintf(p.out, "%d  %s  %s  %s%s\n", e.Position, shown, typ, e.Outcome, reason); err != nil {
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
