package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel/admin"
)

// parkedFilters are the flags that say which parked messages are meant.
type parkedFilters struct {
	admin.ParkedFilter
	position uint64
	all      bool
}

var parkedFilterNames = []string{"account", "type", "reason", "since", "from", "to"}

const parkedFilterHelp = "\n\nFILTER is any of --account, --type, --reason, --since, --from and --to; what all of them take is meant."

func (f *parkedFilters) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	cli.Flag(flags, &f.Account, "account", maybe(accountKind()), "of this account")
	cli.Flag(flags, &f.Type, "type", cli.Text("TYPE", "the type of an event, such as user.registered.v1"), "of this type, with or without controlplane.")
	cli.Flag(flags, &f.Reason, "reason", cli.Text("TEXT", `a part of a reason as "parked list" shows it, such as data.email`),
		"whose reason, as it is shown masked, holds this text, in either case")
	cli.Flag(flags, &f.Since, "since", sinceKind(), "sent at this time or later, or at most so long ago")
	cli.Flag(flags, &f.From, "from", positionKind(), "at this position or later")
	cli.Flag(flags, &f.To, "to", positionKind(), "at this position or earlier")
}

// sinceKind is a time, or how long ago it was.
func sinceKind() cli.Kind[time.Time] {
	return cli.Kind[time.Time]{Name: "TIME|DURATION", Right: "a time, such as 2026-03-25T07:11:48Z, or how long ago, such as 2h", Parse: func(s string) (time.Time, error) {
		if d, err := time.ParseDuration(s); err == nil {
			if d <= 0 {
				return time.Time{}, errors.New("no time ago")
			}
			return time.Now().Add(-d), nil
		}
		return time.Parse(time.RFC3339Nano, s)
	}}
}

// judge says what is wrong with the flags together.
func (f *parkedFilters) judge() error {
	if f.From > 0 && f.To > 0 && f.From > f.To {
		return fmt.Errorf("--from %d is beyond --to %d: nothing is between them", f.From, f.To)
	}
	return nil
}

// one takes a POSITION, filters or --all, and one of the three.
func (f *parkedFilters) one(cmd *cobra.Command, given []string) error {
	var filters []string
	for _, name := range parkedFilterNames {
		if cmd.Flags().Changed(name) {
			filters = append(filters, "--"+name)
		}
	}
	switch {
	case cmd.Flags().Changed("all") && !f.all:
		return errors.New("--all is false: it has to be left out, or given without a value")
	case len(given) > 0 && (f.all || len(filters) > 0):
		return fmt.Errorf("POSITION and %s are given: it has to be one or the other", strings.Join(append(filters, map[bool][]string{true: {"--all"}}[f.all]...), ", "))
	case len(given) > 0:
		if err := cli.Arg(&f.position, positionKind())(cmd, given); err != nil {
			return err
		}
		f.From, f.To = f.position, f.position
		return nil
	case f.all && len(filters) > 0:
		return fmt.Errorf("--all and %s are given: it has to be one or the other", strings.Join(filters, ", "))
	case !f.all && len(filters) == 0:
		return errors.New("which messages are meant is missing: it has to be a POSITION, one or more of --" + strings.Join(parkedFilterNames, ", --") + ", or --all")
	}
	return f.judge()
}

// nothing says that none of the messages is meant, and by which of the filters;
// nil where everything is meant and nothing parked.
func (f *parkedFilters) nothing(none *acts.NoneParked) error {
	if f.position > 0 {
		return notParkedAt(f.position)
	}
	var by []string
	add := func(set bool, format string, args ...any) {
		if set {
			by = append(by, fmt.Sprintf(format, args...))
		}
	}
	add(f.Account != nil, "of account %s", f.Account)
	add(f.Type != "", "of type %q", strings.TrimPrefix(f.Type, "controlplane."))
	add(f.Reason != "", "with %q in the masked reason", f.Reason)
	add(!f.Since.IsZero(), "sent since %s", f.Since.UTC().Format(time.RFC3339))
	add(f.From > 0, "at %d or later", f.From)
	add(f.To > 0, "at %d or earlier", f.To)
	add(f.Dismissed, "dismissed")
	if len(by) == 0 {
		return nil
	}
	return fmt.Errorf("of the %d parked messages none is %s", none.Of, strings.Join(by, " and "))
}

// parkedLine is a parked message as JSON.
type parkedLine struct {
	Position    uint64            `json:"position"`
	Partition   int               `json:"partition"`
	SentAt      time.Time         `json:"sent_at"`
	Account     *string           `json:"account"`
	Subject     string            `json:"subject"`
	Type        string            `json:"type"`
	Reason      string            `json:"reason"`
	DismissedAt *time.Time        `json:"dismissed_at"`
	Note        string            `json:"note"`
	Undismissed []undismissedLine `json:"undismissed,omitempty"` // show alone
	Headers     *string           `json:"headers,omitempty"`     // with --payload
	Payload     []byte            `json:"payload,omitempty"`     // the same, in base64
}

type undismissedLine struct {
	DismissedAt time.Time `json:"dismissed_at"`
	Dismissal   string    `json:"dismissal"`
	At          time.Time `json:"at"`
	Note        string    `json:"note"`
}

func lineOfParked(m admin.Parked, found bool) parkedLine {
	l := parkedLine{Position: m.Position, Partition: m.Partition, SentAt: m.SentAt.UTC(), Subject: m.Subject, Type: m.Type,
		Reason: m.Reason, DismissedAt: m.DismissedAt, Note: m.Note}
	if !found {
		l.Reason = events.MaskReason(m.Reason)
	}
	if m.Account != nil {
		id := m.Account.String()
		l.Account = &id
	}
	if m.DismissedAt != nil {
		at := m.DismissedAt.UTC()
		l.DismissedAt = &at
	}
	return l
}

func shownMessage(m admin.Parked, found, payload bool) parkedLine {
	l := lineOfParked(m, found)
	for _, u := range m.Undismissed {
		l.Undismissed = append(l.Undismissed, undismissedLine{u.DismissedAt.UTC(), u.Dismissal, u.At.UTC(), u.Note})
	}
	if payload {
		l.Headers, l.Payload = &m.Headers, m.Payload
	}
	return l
}
