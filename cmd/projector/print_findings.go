package main

import (
	"fmt"
	"io"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// printLost says which messages the stream has lost.
func printLost(out io.Writer, l *acts.Lost) {
	if l.N > 0 {
		fmt.Fprintf(out, "Stream %s has lost %d messages that no erasure removed, at positions %v.\n", l.Info.Name, l.N, l.Positions)
	}
	if len(l.Undelivered) > 0 {
		fmt.Fprintf(out, "Stream %s counts %d messages as there that its server cannot give, at positions %v.\n", l.Info.Name,
			l.Undelivered.Count(), l.Undelivered)
	}
}

// printUnfinished names the first accounts whose erasure is not finished.
func printUnfinished(out io.Writer, stream string, erasures []admin.Erasure) {
	fmt.Fprintf(out, "%d erasures that the ledger knows are not done, in whole or in part, in stream %s and in this database:\n", len(erasures), stream)
	const most = 20
	for i, e := range erasures {
		if i == most {
			fmt.Fprintf(out, "  and %d more\n", len(erasures)-most)
			break
		}
		fmt.Fprintf(out, "  account %s, erased %s\n", e.Account, e.ErasedAt.UTC())
	}
}

// printReplayed says that erasures were carried out again.
func printReplayed(out io.Writer, erasures int, stream string) {
	fmt.Fprintf(out, "%d erasures were carried out anew in stream %s\n", erasures, stream)
}

// printServed names the first accounts of [acts.ErasureReplay.Served], and warns that
// they may be on the ledger by mistake.
func printServed(out io.Writer, served []events.UUID) {
	if len(served) == 0 {
		return
	}
	fmt.Fprintf(out, "%d of them are served, and no generation here has ever had them erased. That is as it should be where the database was\n"+
		"restored from before; where it was not, they came onto the ledger by mistake, and `projector erasures remove --account %s`\n"+
		"takes the first of them off it before anything is erased:\n", len(served), served[0])
	const most = 10
	for i, id := range served {
		if i == most {
			fmt.Fprintf(out, "  and %d more\n", len(served)-i)
			break
		}
		fmt.Fprintf(out, "  account %s is served\n", id)
	}
}
