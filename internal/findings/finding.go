// Package findings says what of a status needs attention, in words that every front end
// shows: `projector status` and the console. Each finding has the commands that mend it.
// It asks nobody and prints nothing.
package findings

import (
	"accountexport/events"
)

// Severity is how much a finding matters.
type Severity string

// The severities, the most severe first.
const (
	Broken    Severity = "broken"    // somebody has to act: `projector status` ends with another status than 0
	Attention Severity = "attention" // somebody should look; nothing is broken by it yet
	Told      Severity = "told"      // as somebody wanted it
)

// rank orders severities.
func (s Severity) rank() int {
	switch s {
	case Broken:
		return 0
	case Attention:
		return 1
	}
	return 2
}

// What says what was found. Words are added, and never change what they mean.
type What string

// What is found.
const (
	Refused           What = "refused"             // `projector run` would refuse the stream
	NotProgressing    What = "not_progressing"     // behind, and no checkpoint moves
	Unreadable        What = "unreadable"          // one more reader could not read the stream
	ErasedServed      What = "erased_served"       // accounts on the ledger of erasures are served
	Paused            What = "paused"              // projecting is paused
	Problem           What = "problem"             // on record: a projector has refused, or begins again
	ErasureUnfinished What = "erasure_unfinished"  // begun, and not proven to be complete
	LedgerNotExported What = "ledger_not_exported" // for more than a day
	BuildAbandoned    What = "build_abandoned"     // nobody builds a generation any more
	Building          What = "building"            // a generation is being built
	NoReplica         What = "no_replica"          // no `projector run` is there
	Unowned           What = "unowned"             // replicas are there, and nobody owns a partition
	Deviation         What = "deviation"           // a setting of the stream is not as the contract wants it
	Parked            What = "parked"              // messages that could not be folded wait for somebody
)

// Whats lists them all.
func Whats() []What {
	return []What{Refused, NotProgressing, Unreadable, ErasedServed, Paused, Problem, ErasureUnfinished, LedgerNotExported, BuildAbandoned,
		Building, NoReplica, Unowned, Deviation, Parked}
}

// Finding is one thing that was found.
type Finding struct {
	Severity Severity `json:"severity"`
	What     What     `json:"what"`
	// Text is a sentence for a person: one line that is safe to print, without a full
	// stop. It holds nothing of anybody but account ids.
	Text string `json:"text"`
	// Commands mend it, or say more where it needs somebody's judgement, the one to begin
	// with first. Each can be run as it stands. Empty: no command of ours mends it.
	Commands   []string     `json:"commands,omitempty"`
	Partition  *int         `json:"partition,omitempty"`  // nil: of no one partition
	Account    *events.UUID `json:"account,omitempty"`    // nil: of no one account
	Generation int64        `json:"generation,omitempty"` // 0: of no one generation
}
