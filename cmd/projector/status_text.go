package main

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/findings"
	"accountexport/projections"
)

// printStatus prints a status for people.
func printStatus(out io.Writer, st *acts.Status) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "generation %d (%s), projection version %s, stream %s\n", st.Generation.Number, st.Generation.State,
		st.Generation.Version(), st.Stream.Name)
	found := findings.Of(st)
	printFindings(&b, found, findings.Paused, findings.Refused, findings.Unreadable, findings.Deviation)
	if st.Comparable {
		fmt.Fprintf(&b, "position %d of %d, %d behind%s; %d parked\n", st.Position, st.Stream.Last, st.Lag, moving(st), st.Parked)
	} else {
		fmt.Fprintf(&b, "position %d, of the stream that was folded; the one that is there says nothing of it; %d parked\n", st.Position, st.Parked)
	}
	all := outcomes(st)
	for _, o := range projections.Outcomes() {
		fmt.Fprintf(&b, "%s %d  ", o, all[o.String()])
	}
	fmt.Fprintln(&b)
	printFindings(&b, found, findings.Problem, findings.LedgerNotExported, findings.ErasedServed, findings.ErasureUnfinished, findings.BuildAbandoned,
		findings.Building, findings.NoReplica)
	printTables(&b, st)
	_, err := out.Write(b.Bytes())
	return err
}

// moving says whether a generation that is behind progresses, how fast, and how long
// it will take.
func moving(st *acts.Status) string {
	switch {
	case st.Lag == 0:
		return ""
	case st.Pause != nil:
		return ", paused"
	case st.Refused != nil:
		return ", not to be projected"
	case !st.Progressing:
		return ", NOT progressing"
	case st.Rate == 0:
		return ", progressing"
	}
	moving := fmt.Sprintf(", progressing by %.0f a second", st.Rate)
	switch {
	case st.Left > 0:
		moving += ", time left " + max(time.Second, st.Left.Round(time.Second)).String()
	case float64(st.Lag) > 2*st.Rate: // otherwise these may be events that were just published
		moving += ", the end does not draw nearer"
	}
	return moving
}

// printFindings prints what was found of some kinds, in their order. What the figures
// tell, that nothing progresses, what is parked and who owns what, has no line.
func printFindings(b *bytes.Buffer, all []findings.Finding, kinds ...findings.What) {
	for _, kind := range kinds {
		for _, f := range all {
			if f.What == kind {
				fmt.Fprintln(b, f.Text)
			}
		}
	}
}

// printTables prints the replicas and the partitions.
func printTables(b *bytes.Buffer, st *acts.Status) {
	w := tabwriter.NewWriter(b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tPARTITIONS\tJOINED\tSEEN")
	for _, m := range st.Members {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.1f s ago\n", m.Name, m.Partitions, m.JoinedAt.UTC().Format(time.RFC3339), m.SinceHeartbeat.Seconds())
	}
	w.Flush()
	fmt.Fprintln(w, "PARTITION\tPOSITION\tBEHIND\tEPOCH\tAS OF\tOWNER")
	for _, c := range st.Partitions {
		behind := "–"
		if st.Comparable {
			behind = fmt.Sprint(st.Behind(c.Checkpoint))
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%s\t%s\n", c.Partition, c.Position, behind, c.Epoch, c.AsOf.UTC().Format(time.RFC3339), c.Owner)
	}
	w.Flush()
}

// inPlace prints over what is on the terminal.
func inPlace(out io.Writer, show func(io.Writer) error) error {
	var b bytes.Buffer
	if err := show(&b); err != nil {
		return err
	}
	return cli.InPlace(out, b.Bytes())
}
