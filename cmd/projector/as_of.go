package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
)

// asOfFlags are --at and --at-event-time.
type asOfFlags struct {
	at        acts.AsOf
	eventTime bool
}

func (f *asOfFlags) add(cmd *cobra.Command, at, eventTime string) {
	cli.Flag(cmd.Flags(), &f.at, "at", asOfKind(), at)
	cmd.Flags().BoolVar(&f.eventTime, "at-event-time", false, eventTime)
}

// asOf is what the two say together.
func (f *asOfFlags) asOf() acts.AsOf {
	at := f.at
	at.EventTime = f.eventTime
	return at
}

// detail says it for the audit.
func (f *asOfFlags) detail() string {
	switch {
	case f.at.Position > 0:
		return fmt.Sprintf("up to position %d", f.at.Position)
	case !f.at.Time.IsZero():
		return "up to a time"
	}
	return ""
}

// args refuses arguments, and --at-event-time with a POSITION, which is one of the
// stream. Unless alone is set, it is refused without --at, too.
func (f *asOfFlags) args(alone bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		problems := []error{cli.NoArgs(cmd, given)}
		switch {
		case f.eventTime && f.at.Position > 0:
			problems = append(problems, fmt.Errorf("--at-event-time goes with a TIME: --at is %d, a position of the stream, which says nothing of the events' own times", f.at.Position))
		case f.eventTime && !alone && !cmd.Flags().Changed("at"):
			problems = append(problems, errors.New("--at-event-time goes with --at TIME, which is missing"))
		}
		return errors.Join(problems...)
	}
}

// leftOut says that messages have no time of their own; empty where all have one.
func leftOut(timeless int, of string) string {
	if timeless == 0 {
		return ""
	}
	return fmt.Sprintf("left out, having no sound time of their own: %d parked messages of %s\n", timeless, of)
}
