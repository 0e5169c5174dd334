package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel/admin"
)

// parkedFilters are the flags and the argument that select parked messages.
type parkedFilters struct {
	admin.ParkedFilter
	position uint64 // POSITION; 0 where filters or --all were given
	all      bool   // --all
}

var parkedFilterNames = []string{"account", "type", "reason", "since", "from", "to"}

const parkedFilterHelp = "\n\nFILTER is any of --account, --type, --reason, --since, --from and --to; what all of them take is meant."

// flags adds the filters to a command.
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

// sinceKind is a time, or a duration that ends now.
func sinceKind() cli.Kind[time.Time] {
	return cli.Kind[time.Time]{Name: "TIME|DURATION", Right: "a time, such as 2026-03-25T07:11:48Z, or how long ago, such as 2h", Parse: func(s string) (time.Time, error) {
		if d, err := time.ParseDuration(s); err == nil {
			if d <= 0 {
				return time.Time{}, errors.New("no time ago")
			}
			return time.Now().Add(-d), nil
		}
		return parseTime(s)
	}}
}

// validate fails where each flag is right and together they select nothing.
func (f *parkedFilters) validate() error {
	if f.From > 0 && f.To > 0 && f.From > f.To {
		return fmt.Errorf("--from %d is beyond --to %d: nothing is between them", f.From, f.To)
	}
	return nil
}

// args takes either a POSITION, or filters, or --all.
func (f *parkedFilters) args(cmd *cobra.Command, given []string) error {
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
	return f.validate()
}

// noneSelected is the error where the flags select none of the parked messages: it
// names the filters. It is nil where all messages are selected and none is parked.
func (f *parkedFilters) noneSelected(none *acts.NoneParked) error {
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
