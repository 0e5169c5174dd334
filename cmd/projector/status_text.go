package main

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/projections"
)

// printStatus prints a status for people.
func printStatus(out io.Writer, st *acts.Status) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "generation %d (%s), projection version %s, stream %s\n", st.Generation.Number, st.Generation.State,
		st.Generation.Version(), st.Stream.Name)
	if st.Pause != nil {
		fmt.Fprintf(&b, "paused %s: no checkpoint moves until `projector resume`\n", cli.Printable(st.Pause.String()))
	}
	if st.Refused != nil {
		fmt.Fprintf(&b, "`projector run` would end with exit status %d: %s\n", exitCode(st.Refused), st.Refused)
	}
	if st.Unreadable != nil {
		fmt.Fprintf(&b, "one more `projector run` could not read it: %s\n", st.Unreadable)
	}
	for _, d := range st.Stream.Deviations {
		fmt.Fprintf(&b, "the stream's %s is %s, want %s; nothing is lost by it yet\n", d.What, d.Have, d.Want)
	}
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
	printProblems(&b, st)
	printErasures(&b, st)
	printBuilding(&b, st)
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

// printErasures prints what has to be done about the ledger of erasures.
func printErasures(b *bytes.Buffer, st *acts.Status) {
	if due(st.Ledger) {
		last := "was never exported"
		if st.Ledger.Exported != nil {
			last = "was exported last " + st.Ledger.Exported.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(b, "the ledger of %d erasures %s: `projector erasures export`, once a day, to where the database's loss does not reach\n",
			st.Ledger.Erasures, last)
	}
	if st.ErasedServed > 0 {
		fmt.Fprintf(b, "%d accounts on the ledger of erasures are served still: keep the API stopped until this line is gone\n", st.ErasedServed)
	}
	for _, account := range st.PendingErasures {
		fmt.Fprintf(b, "the erasure of account %s is not finished: `projector erase --account %[1]s` goes on with it\n", account)
	}
}

// printBuilding prints the generation that is being built, if any is.
func printBuilding(b *bytes.Buffer, st *acts.Status) {
	switch g := st.Building; {
	case g == nil:
	case g.Running:
		fmt.Fprintf(b, "generation %d is being built, at %d\n", g.Number, g.Position)
	default:
		fmt.Fprintf(b, "generation %d is at %d, and nobody builds it: `projector rebuild` goes on with it, `projector generations drop %[1]d` gives it up\n",
			g.Number, g.Position)
	}
}

// printTables prints the replicas and the partitions.
func printTables(b *bytes.Buffer, st *acts.Status) {
	if len(st.Members) == 0 {
		fmt.Fprintln(b, "no `projector run` is there: what is published waits for one")
	}
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
