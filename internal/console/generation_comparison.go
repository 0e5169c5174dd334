package console

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"accountexport/internal/acts"
)

// comparisonView is how a generation differs from the live one, and what keeps it from
// being cut over to.
type comparisonView struct {
	At         time.Time        `json:"at"`
	Live       int64            `json:"live"`
	Generation int64            `json:"generation"`
	Compared   int64            `json:"compared"`
	Different  int64            `json:"different"`
	Missing    int64            `json:"missing"`
	New        int64            `json:"new"`
	Pending    int64            `json:"on_their_way"`
	ToErase    int64            `json:"to_erase"`
	Unknown    int64            `json:"unknown"` // those on their way of which nobody knows whether they have lost messages
	Tiers      int64            `json:"tiers_different"`
	Sections   []sectionCount   `json:"sections"` // in the order of their counts
	Samples    []sampledAccount `json:"samples"`
	Cost       string           `json:"cost"`    // what cutting over takes from people; empty where it takes nothing
	Lost       string           `json:"lost"`    // what the stream has lost; empty for nothing
	Refused    string           `json:"refused"` // why it is not cut over to unless the differences are accepted; empty where it is
	Job        string           `json:"job"`     // by which it is accepted
	MayAct     bool             `json:"may_act"`
}

// sectionCount is in how many accounts a section differs.
type sectionCount struct {
	Name     string `json:"section"`
	Accounts int64  `json:"accounts"`
}

// sampledAccount is an account that is not the same in both.
type sampledAccount struct {
	Account string `json:"account"`
	What    string `json:"what"` // missing, new, or the sections
}

func comparisonOf(found acts.Comparison) *comparisonView {
	v := &comparisonView{At: time.Now(), Live: found.Live, Generation: found.Generation, Compared: found.Compared, Different: found.Different,
		Missing: found.Missing, New: found.New, Pending: found.Pending, ToErase: found.ToErase, Tiers: found.Tiers,
		Sections: []sectionCount{}, Samples: []sampledAccount{}, Cost: found.Impact()}
	if found.LiveBlocked {
		v.Unknown = found.Pending - found.ToErase
	}
	for _, name := range slices.Sorted(maps.Keys(found.Sections)) {
		v.Sections = append(v.Sections, sectionCount{name, found.Sections[name]})
	}
	slices.SortStableFunc(v.Sections, func(a, b sectionCount) int { return int(b.Accounts - a.Accounts) })
	for _, d := range found.Sample {
		v.Samples = append(v.Samples, sampledAccount{d.Account.String(), d.What})
	}
	if err := found.Lost.Err(); err != nil {
		v.Lost = err.Error()
	}
	return v
}

// Rest is how many accounts differ beside the samples.
func (v *comparisonView) Rest() int64 {
	return max(0, v.Different+v.Missing+v.New-int64(len(v.Samples)))
}

// Equal tells whether nothing differs.
func (v *comparisonView) Equal() bool { return v.Different+v.Missing+v.New+v.Tiers == 0 }

// moreThan says by what a comparison differs more than one that somebody has accepted;
// empty where it does not.
func (v *comparisonView) moreThan(accepted *comparisonView) string {
	var more []string
	add := func(what string, now, then int64) {
		if now > then {
			more = append(more, fmt.Sprintf("%s: %d, and %d were accepted", what, now, then))
		}
	}
	add("accounts that differ", v.Different, accepted.Different)
	add("accounts that will be missing", v.Missing, accepted.Missing)
	add("accounts that are new", v.New, accepted.New)
	add("accounts that may have lost messages", v.Unknown, accepted.Unknown)
	add("tiers that differ", v.Tiers, accepted.Tiers)
	for _, s := range v.Sections {
		add("accounts in which "+s.Name+" differs", s.Accounts, accepted.in(s.Name))
	}
	if v.Lost != accepted.Lost {
		more = append(more, "what the stream has lost is another")
	}
	return strings.Join(more, "; ")
}

// in is in how many accounts a section differs.
func (v *comparisonView) in(section string) int64 {
	for _, s := range v.Sections {
		if s.Name == section {
			return s.Accounts
		}
	}
	return 0
}

// comparisonOf is a comparison of a generation that was shown, by the act that has made it.
func (c *Console) comparisonOf(id string, generation int64) (*comparisonView, error) {
	if j := c.jobs.find(id); j != nil {
		if v, ok := j.view().Result.(*comparisonView); ok && v.Generation == generation {
			return v, nil
		}
	}
	return nil, badRequest("What is accepted is not known", "Differences are accepted on the page of a comparison, which says what that costs. Compare the generation, and accept there.")
}

// lastComparison is the act that has compared two generations last; empty for none.
func (c *Console) lastComparison(generation, live int64) (id string) {
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	for _, j := range c.jobs.all {
		if v, ok := j.view().Result.(*comparisonView); ok && j.over() && v.Generation == generation && v.Live == live {
			id = j.ID
		}
	}
	return id
}
