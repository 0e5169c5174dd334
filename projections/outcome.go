package projections

// Outcome is what became of a message. Every message has exactly one, see contract §3.
type Outcome uint8

// The outcomes.
const (
	Applied Outcome = iota
	Duplicate
	Deferred
	Ignored
	Parked
	outcomes
)

// String is the outcome's name in metrics and on the command line.
func (o Outcome) String() string {
	return [outcomes]string{"applied", "duplicate", "deferred", "ignored", "parked"}[o]
}

// Outcomes lists all outcomes.
func Outcomes() []Outcome { return []Outcome{Applied, Duplicate, Deferred, Ignored, Parked} }

// Tally counts messages by outcome.
type Tally [outcomes]int64

// Total is the number of all messages.
func (t Tally) Total() int64 {
	var n int64
	for _, c := range t {
		n += c
	}
	return n
}

// TypeOutcome is a pair of labels by which messages are counted.
type TypeOutcome struct {
	Type    string // without the controlplane. prefix, or "other"
	Outcome Outcome
}
