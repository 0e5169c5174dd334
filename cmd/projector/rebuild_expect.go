package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"accountexport/internal/acts"
)

// defaultSpool is how many MiB of messages a rebuild keeps for later passes at most.
const defaultSpool = 4096

// build says what building will take, builds, and shows how far it is meanwhile.
func (r *rebuildCommand) build(ctx context.Context) error {
	if err := r.Begin(ctx); err != nil {
		return err
	}
	var show *progress
	r.OnExpect = func(e acts.Expectation) { printExpectation(r.notes(), e, r.Live.Number, r.MaxRate) }
	r.OnProgress = func(position, end uint64) {
		if show == nil { // a bar begins below what was said before
			show = newProgress(r.err)
		}
		show.at(position, end)
	}
	err := r.Build(ctx)
	if show != nil {
		show.end(err == nil)
	}
	return err
}

// printExpectation says what a rebuild is expected to take, and from what that is
// computed.
func printExpectation(out io.Writer, e acts.Expectation, live int64, maxRate int) {
	from := "the start of the stream"
	if e.Position > 0 {
		from = fmt.Sprintf("position %d on, where an earlier run was cut off", e.Position)
	}
	fmt.Fprintf(out, "generation %d: %d messages of about %d accounts, from %s\n", e.Generation, e.Messages, e.Accounts, from)
	if e.Workers > 1 {
		fmt.Fprintf(out, "  %d processes, each with its part of the partitions and of MEMORY_LIMIT\n", e.Workers)
	}
	passes := "one pass"
	if e.Passes > 1 {
		passes = fmt.Sprintf("%d passes", e.Passes)
	}
	fmt.Fprintf(out, "  %s: the states of all accounts take about %d MiB of memory, and there are %d MiB for them (MEMORY_LIMIT)\n",
		passes, mib(e.States), mib(e.Cache))
	if e.Spool > 0 {
		fmt.Fprintf(out, "  about %d MiB in TMPDIR meanwhile, of messages for later passes (--spool)\n", mib(e.Spool))
	}
	fmt.Fprintf(out, "  about %d MiB in the database, as generation %d takes\n", mib(e.Disk), live)
	switch about := time.Duration(e.Seconds * float64(time.Second)).Round(time.Second); {
	case e.Sample == 0:
	case maxRate > 0 && e.Seconds*e.ReadRate > e.FoldFactor*float64(e.Messages):
		fmt.Fprintf(out, "  about %v, by --max-rate\n", about)
	default:
		fmt.Fprintf(out, "  about %v, or half or twice that: reading alone gives %.0f messages a second, as %d read just now show, and a rebuild takes about %.0f times as long on two cores\n",
			about, e.ReadRate, e.Sample, e.FoldFactor)
	}
	fmt.Fprintln(out, "  interrupted at any moment, it goes on where it was")
}

func mib(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 }
