package admin

import (
	"fmt"
	"strings"

	"accountexport/events"
)

// Comparison is how two generations differ. An account whose last message one of them
// has yet to read is pending, and not compared: the second generation's only
// while its stream can still bring the message. An account whose position would go back,
// or that would be missing, is a difference on any stream; otherwise, on different
// streams, only accounts at equal positions are compared. An account that is erased in
// the first alone, and on the ledger, is about to be erased in the second as well. One
// that is erased in the second alone is a difference on another stream, where nobody
// here has erased it.
type Comparison struct {
	Compared        int64            // accounts that both have read as far as they go
	Pending         int64            // accounts that one of them has yet to read
	ToErase         int64            // those of Pending that are erased in the first alone: erased anew where the stream lacks the erasure
	ToEraseAccounts []events.UUID    // which they are; where the stream holds the erasure, they are a difference
	Missing         int64            // accounts of the first that the second lacks
	New             int64            // accounts of the second that the first lacks
	Different       int64            // accounts compared that differ
	Sections        map[string]int64 // differing accounts, by section
	Tiers           int64            // tier definitions that differ, or that one of them lacks although it has come as far
	Sample          []Difference     // the first five of each kind; Compare's each is called with all
}

// Difference is one account that is not the same in both.
type Difference struct {
	Account events.UUID
	What    string // missing, new, or the sections
}

// Impact says what making the second generation live instead of the first takes
// from people; empty where it takes nothing.
func (c Comparison) Impact() string {
	var out []string
	if c.Missing > 0 {
		out = append(out, fmt.Sprintf("%d of %d accounts will answer 404", c.Missing, c.Missing+c.Compared+c.Pending))
	}
	if n := c.Sections["position"]; n > 0 {
		out = append(out, fmt.Sprintf("%d will go back", n))
	}
	if n := c.Sections["erased"]; n > 0 {
		out = append(out, fmt.Sprintf("%d are erased in one of the two alone", n))
	}
	return strings.Join(out, ", ")
}

// ExplainedByVersion tells whether everything that differs may come of another
// projection version: that makes no account go back, be missing, or be erased or not.
func (c Comparison) ExplainedByVersion() bool {
	return c.Missing == 0 && c.Sections["position"] == 0 && c.Sections["erased"] == 0
}

// Equal tells whether nothing was found that needs an explanation.
func (c Comparison) Equal() bool {
	return c.Missing == 0 && c.New == 0 && c.Different == 0 && c.Tiers == 0
}
