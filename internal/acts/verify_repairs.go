package acts

import (
	"fmt"
	"strings"
)

// repairs counts differences by what mends them.
type repairs struct {
	all     int
	refold  string // an account that a refold mends
	refolds int
	lesser  string // an account of which the stream holds less than was folded
	less    int
	tiers   int // that differ
	beside  int // accounts without a row that have something beside it, and what is parked of nobody
	never   int
}

func (m *repairs) see(v Verdict) {
	if v.Same() {
		return
	}
	m.all++
	switch {
	case v.NeverHeard:
		m.never++
	case v.Less:
		m.lesser = v.Account
		m.less++
	case v.Tier != "":
		m.tiers++
	case v.Folded == 0:
		m.beside++
	default:
		m.refold = v.Account
		m.refolds++
	}
}

// advice says what mends them, without a loss.
func (m *repairs) advice() string {
	var out []string
	if m.refolds > 0 {
		out = append(out, fmt.Sprintf("`projector refold --account %s` mends that one%s", m.refold, alike(m.refolds)))
	}
	if m.beside > 0 {
		out = append(out, "`projector rebuild` makes a generation without what has no row, and with what is parked of nobody")
	}
	if m.tiers > 0 {
		out = append(out, fmt.Sprintf("`projector rebuild --accept-differences` makes a generation with tiers as the stream has them, of which %d differ", m.tiers))
	}
	if m.less > 0 {
		out = append(out, fmt.Sprintf("of %d the stream holds less than was folded: do not refold them, `projector history --account %s` shows what "+
			"there is of one, and with a backup of the stream that holds the rest, what is stored is right", m.less, m.lesser))
	}
	if m.never > 0 {
		out = append(out, "one that was never heard of needs nothing")
	}
	return fmt.Sprintf("%d differ: %s", m.all, strings.Join(out, "; "))
}

// alike says that there are others like the one that is named.
func alike(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(", and so with the %d others", n-1)
}
