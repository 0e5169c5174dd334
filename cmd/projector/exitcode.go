package main

import (
	"errors"
	"fmt"
	"strings"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel/connect"
)

// refusals are the errors that restarting does not help against, since a person has to
// decide: each has an exit status of its own, so that a service manager can tell them
// apart and does not restart the program, and a word by which metrics and
// `projector status` name it (readmodel.Refused).
var refusals = []struct {
	err    error
	code   int
	reason string
}{
	{engine.ErrVersion, 10, "version"},
	{stream.ErrOtherStream, 11, "other_stream"},
	{stream.ErrRecreated, 12, "recreated"},
	{engine.ErrStreamBehind, 13, "stream_behind"},
	{stream.ErrHistoryLost, 14, "history_lost"},
	{engine.ErrPartitions, 15, "partitions"},
	{engine.ErrDiverged, 16, "diverged"},
	{acts.ErrErasuresMissing, 17, "erasures_missing"},
	{stream.ErrMissing, 18, "messages_missing"},
}

// exitCode is the status that the program ends with on an error.
func exitCode(err error) int {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return r.code
		}
	}
	if errors.Is(err, connect.ErrMisconfigured) {
		return cli.ExitUsage
	}
	return cli.ExitFailure
}

// exitCodes describes every exit status, for the help.
func exitCodes() string {
	var b strings.Builder
	b.WriteString("Exit status:\n  0   done, or asked to end\n  1   failed\n  2   called wrongly, or settings that cannot be used: nothing was done;\n      with a dump of goroutines: ended by Go itself, or by SIGQUIT\n" +
		"and where going on could do harm, so that somebody has to decide:\n")
	for _, r := range refusals {
		fmt.Fprintf(&b, "  %d  %s\n", r.code, r.err)
	}
	return b.String()
}
