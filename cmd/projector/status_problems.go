package main

import (
	"bytes"
	"fmt"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
)

// problem is a problem on record as JSON.
type problem struct {
	Class     readmodel.ProblemClass `json:"class"`
	Partition *int                   `json:"partition"` // null: of no one partition
	Reason    string                 `json:"reason"`
	Message   string                 `json:"message"`
	Position  *uint64                `json:"position"`       // null where it is not known
	Until     *uint64                `json:"until_position"` // null where it is not known which message failed
	Type      string                 `json:"event_type"`     // of the message at position; empty where it is not known
	Replica   string                 `json:"replica"`
	Since     time.Time              `json:"since"`
	Last      time.Time              `json:"last_at"`
	Times     int64                  `json:"times"`
}

func problemsOf(all []readmodel.Problem) []problem {
	known := func(position uint64) *uint64 {
		if position == 0 {
			return nil
		}
		return &position
	}
	out := []problem{}
	for _, p := range all {
		line := problem{p.Class, &p.Partition, p.Reason, p.Message, known(p.Position), known(p.Until), p.EventType, p.Replica, p.First.UTC(), p.Noted.UTC(), p.Times}
		if p.Partition == readmodel.NoPartition {
			line.Partition = nil
		}
		out = append(out, line)
	}
	return out
}

// mostProblems is how many problems are printed for people.
const mostProblems = 8

// printProblems prints what is on record of why a projector has refused, or begins again
// with errors, for people.
func printProblems(b *bytes.Buffer, st *acts.Status) {
	for i, p := range st.Problems {
		if i == mostProblems {
			fmt.Fprintf(b, "on record: %d more: `projector status --json`\n", len(st.Problems)-i)
			return
		}
		what := fmt.Sprintf("partition %d begins again, %s", p.Partition, p.Reason)
		switch {
		case p.Class == readmodel.Refused:
			what = "`projector run` has refused, " + p.Reason
		case p.Partition == readmodel.NoPartition:
			what = "a projector begins again, " + p.Reason
		}
		fmt.Fprintf(b, "on record: %s: %s%s; %d times since %s, last %s, by %s; gone once that is projected again\n",
			cli.Printable(what), cli.Printable(p.Message), where(p), p.Times, p.First.UTC().Format(time.RFC3339), p.Noted.UTC().Format(time.RFC3339),
			cli.Printable(p.Replica))
	}
}

// where is where a problem has come up, as far as that is known.
func where(p readmodel.Problem) string {
	switch {
	case p.Position == 0:
		return ""
	case p.Until == 0:
		return fmt.Sprintf("; it stands at position %d", p.Position)
	case p.Until == p.Position:
		return fmt.Sprintf("; the message at position %d, %s", p.Position, cli.Printable(p.EventType))
	}
	return fmt.Sprintf("; a message from position %d, %s, to %d", p.Position, cli.Printable(p.EventType), p.Until)
}
