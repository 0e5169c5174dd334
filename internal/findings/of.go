package findings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// ExportDue is the age from which an export of the ledger is too old.
const ExportDue = 24 * time.Hour

// LedgerDue tells whether the last export of the ledger, or its first entry where there
// was none, is too old.
func LedgerDue(l admin.LedgerStatus) bool { return l.Age > ExportDue }

// Of is what of a status needs attention, the most severe first. Any of it is [Broken]
// exactly where `projector status` ends with another exit status than 0 by it.
func Of(st *acts.Status) []Finding {
	all := slices.Concat(ofProjecting(st), ofProblems(st), ofErasures(st), ofBuilding(st), ofReplicas(st), ofStream(st), ofParked(st))
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	return all
}

// ofProjecting is what keeps projecting from going on.
func ofProjecting(st *acts.Status) (all []Finding) {
	live := st.Generation.Number
	if st.Refused != nil {
		all = append(all, Finding{Severity: Broken, What: Refused, Generation: live, Commands: waysOut(st),
			Text: line("`projector run` would end with exit status %d: %v", ExitStatus(st.Refused), st.Refused)})
	}
	if st.Unreadable != nil {
		f := Finding{Severity: Attention, What: Unreadable, Text: line("one more `projector run` could not read it: %v", st.Unreadable)}
		if st.ReadersBlocked() {
			f.Severity = Broken
		}
		all = append(all, f)
	}
	if st.Lag > 0 && !st.Progressing && st.Pause == nil {
		f := Finding{Severity: Broken, What: NotProgressing, Generation: live,
			Text: fmt.Sprintf("position %d of %d, %d behind, and no checkpoint moves", st.Position, st.Stream.Last, st.Lag)}
		if st.Refused == nil && nobody(st) {
			f.Commands = []string{"projector run"}
		}
		all = append(all, f)
	}
	if st.Pause != nil {
		all = append(all, Finding{Severity: Attention, What: Paused, Commands: []string{"projector resume"},
			Text: line("paused %v: no checkpoint moves until `projector resume`", st.Pause)})
	}
	return all
}

// waysOut are the commands that lead out of a refusal.
func waysOut(st *acts.Status) []string {
	r, _ := RefusalOf(st.Refused)
	if r.Err == engine.ErrPartitions && st.Stream.Partitions == 0 {
		return nil // without a subject transform nothing can be folded: only the stream's owner mends that
	}
	return r.commands
}

// ofStream is what of the stream is not as the contract wants it.
func ofStream(st *acts.Status) (all []Finding) {
	for _, d := range st.Stream.Deviations {
		f := Finding{Severity: Attention, What: Deviation, Text: line("the stream's %s is %s, want %s; nothing is lost by it yet", d.What, d.Have, d.Want)}
		if strings.Contains(d.Want, "`projector provision`") { // the one setting that it writes on a stream that is there
			f.Commands = []string{"projector provision"}
		}
		all = append(all, f)
	}
	return all
}

// ofBuilding is the generation that is being built.
func ofBuilding(st *acts.Status) []Finding {
	switch g := st.Building; {
	case g == nil:
		return nil
	case g.Running:
		return []Finding{{Severity: Told, What: Building, Generation: g.Number, Text: fmt.Sprintf("generation %d is being built, at %d", g.Number, g.Position)}}
	default:
		drop := fmt.Sprintf("projector generations drop %d", g.Number)
		f := Finding{Severity: Attention, What: BuildAbandoned, Generation: g.Number, Commands: []string{rebuild, drop},
			Text: fmt.Sprintf("generation %d is at %d, and nobody builds it: `%s` goes on with it, `%s` gives it up", g.Number, g.Position, rebuild, drop)}
		if st.Comparable && built(g.Position, st.Stream.Last) { // by a rebuild that left the cut-over to somebody
			f.Commands = append(f.Commands, cutover)
			f.Text += fmt.Sprintf("; it is near the end of the stream, so `%s` compares it, and makes it live", cutover)
		}
		return []Finding{f}
	}
}

// cutover makes a generation live that was built.
const cutover = "projector cutover"

// built tells whether a generation was folded to near the stream's end: as near as a
// rebuild counts as done, and not just since the stream is short.
func built(position, last uint64) bool {
	return position+acts.EndDistance >= last && position >= last/2
}

// ofReplicas is what of the partitions is in nobody's hands.
func ofReplicas(st *acts.Status) []Finding {
	if len(st.Members) == 0 {
		return []Finding{{Severity: Attention, What: NoReplica, Commands: []string{"projector run"},
			Text: "no `projector run` is there: what is published waits for one"}}
	}
	var free []int
	for _, c := range st.Partitions {
		if !slices.ContainsFunc(st.Members, func(m admin.Member) bool { return m.Name == c.Owner }) {
			free = append(free, c.Partition)
		}
	}
	if len(free) == 0 || st.Pause != nil { // a pause takes no partition away, and nobody takes one over meanwhile
		return nil
	}
	f := Finding{Severity: Attention, What: Unowned, Generation: st.Generation.Number,
		Text: fmt.Sprintf("no replica owns partition %s; those that are there take it over within seconds", strings.Trim(fmt.Sprint(free), "[]"))}
	if len(free) == 1 {
		f.Partition = &free[0]
	}
	return []Finding{f}
}

// silent is for how long a replica was not heard of that is taken to be gone.
const silent = 30 * time.Second

// nobody tells whether no `projector run` is alive, as far as the database can know.
func nobody(st *acts.Status) bool {
	return !slices.ContainsFunc(st.Members, func(m admin.Member) bool { return m.SinceHeartbeat < silent })
}

// ofParked is that messages are parked.
func ofParked(st *acts.Status) []Finding {
	if st.Parked == 0 {
		return nil
	}
	list := "projector parked list --group-by reason"
	return []Finding{{Severity: Attention, What: Parked, Generation: st.Generation.Number, Commands: []string{list},
		Text: fmt.Sprintf("%d messages are parked, and wait for somebody to retry or dismiss them: `%s` says why", st.Parked, list)}}
}

// line is a sentence with values from elsewhere, as one line that is safe to print.
func line(format string, args ...any) string {
	return cli.Printable(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; "))
}
