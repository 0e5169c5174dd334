package acts

import (
	"fmt"
	"strings"
)

// repairs counts differences by what repairs them.
type repairs struct {
	all           int
	refoldAccount string // one of the accounts that a refold repairs
	refolds       int
	lessAccount   string // one of the accounts of which the stream holds fewer messages than were folded
	less          int
	tiers         int // tiers that differ
	withoutRow    int // accounts without a row of which other tables hold rows, and parked messages that belong to no account
	never         int
}

func (r *repairs) add(v Verdict) {
	if v.Same() {
		return
	}
	r.all++
	switch {
	case v.NeverHeard:
		r.never++
	case v.Less:
		r.lessAccount = v.Account
		r.less++
	case v.Tier != "":
		r.tiers++
	case v.Folded == 0:
		r.withoutRow++
	default:
		r.refoldAccount = v.Account
		r.refolds++
	}
}

// advice says what repairs them without a loss.
func (r *repairs) advice() string {
	var out []string
	if r.refolds > 0 {
		out = append(out, fmt.Sprintf("`projector refold --account %s` mends that one%s", r.refoldAccount, alike(r.refolds)))
	}
	if r.withoutRow > 0 {
		out = append(out, "`projector rebuild` makes a generation without what has no row, and with what is parked of nobody")
	}
	if r.tiers > 0 {
		out = append(out, fmt.Sprintf("`projector rebuild --accept-differences` makes a generation with tiers as the stream has them, of which %d differ", r.tiers))
	}
	if r.less > 0 {
		out = append(out, fmt.Sprintf("of %d the stream holds less than was folded: do not refold them, `projector history --account %s` shows what "+
			"there is of one, and with a backup of the stream that holds the rest, what is stored is right", r.less, r.lessAccount))
	}
	if r.never > 0 {
		out = append(out, "one that was never heard of needs nothing")
	}
	return fmt.Sprintf("%d differ: %s", r.all, strings.Join(out, "; "))
}

// alike says how many others are like the one that is named.
func alike(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(", and so with the %d others", n-1)
}
