package console

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// outcomes are what all replicas together have counted of messages, by type and outcome,
// over the last quarter of an hour. It is safe for concurrent use.
type outcomes struct {
	mu     sync.Mutex
	since  time.Time              // the first look
	seen   map[string]countedUpTo // by replica, whose names are those of one run; nil before the first look
	deltas []outcomeDelta         // oldest first
}

// countedUpTo is what a replica had counted since its start when it was seen last. It is
// kept where the replica is gone: one that was taken for dead and comes back goes on from
// there, with another row, and has not begun anew.
type countedUpTo struct {
	at     time.Time
	counts map[projections.TypeOutcome]int64
}

// goneFor is for how long a replica that is gone is remembered.
const goneFor = 24 * time.Hour

// outcomeDelta is what was counted between two looks.
type outcomeDelta struct {
	at     time.Time
	counts map[projections.TypeOutcome]int64
}

// add adds a look; looks come in order. What a replica had counted before the first look is
// left out, and what one has counted that began since is in.
func (o *outcomes) add(at time.Time, members []admin.Member) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := o.seen == nil
	if first {
		o.since, o.seen = at, map[string]countedUpTo{}
	}
	counted := map[projections.TypeOutcome]int64{}
	for _, m := range members {
		if m.Outcomes == nil {
			continue // nothing is noted yet, or not yet again
		}
		before, known := o.seen[m.Name]
		o.seen[m.Name] = countedUpTo{at, m.Outcomes}
		if first || !known && m.JoinedAt.Before(o.since) {
			continue // nobody knows how much of it is new
		}
		for k, n := range m.Outcomes {
			if d := n - before.counts[k]; d > 0 {
				counted[k] += d
			}
		}
	}
	maps.DeleteFunc(o.seen, func(_ string, c countedUpTo) bool { return at.Sub(c.at) > goneFor })
	if len(counted) > 0 {
		o.deltas = append(o.deltas, outcomeDelta{at, counted})
	}
	o.deltas = slices.DeleteFunc(o.deltas, func(d outcomeDelta) bool { return at.Sub(d.at) > seriesLength })
}

// recentOutcomes are the counts of the last quarter of an hour, or since the console began.
type recentOutcomes struct {
	Seconds  float64      `json:"seconds"` // over which they were counted
	Outcomes []string     `json:"outcomes"`
	Types    []typeCounts `json:"types"`
}

// typeCounts are the messages of one type.
type typeCounts struct {
	Type   string  `json:"type"`
	Counts []int64 `json:"counts"` // in the order of the outcomes
	All    int64   `json:"all"`
}

// Has tells whether messages of a type were counted.
func (r recentOutcomes) Has(name string) bool {
	return slices.ContainsFunc(r.Types, func(t typeCounts) bool { return t.Type == name })
}

// Over is the time over which they were counted, for people.
func (r recentOutcomes) Over() time.Duration { return time.Duration(r.Seconds * float64(time.Second)) }

// recent sums up, the most frequent type first.
func (o *outcomes) recent(now time.Time) recentOutcomes {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := recentOutcomes{Types: []typeCounts{}}
	order := projections.Outcomes()
	for _, outcome := range order {
		r.Outcomes = append(r.Outcomes, outcome.String())
	}
	if !o.since.IsZero() {
		r.Seconds = min(seriesLength, now.Sub(o.since)).Seconds()
	}
	at := map[string]int{}
	for _, d := range o.deltas {
		if now.Sub(d.at) > seriesLength {
			continue
		}
		for k, n := range d.counts {
			i, there := at[k.Type]
			if !there {
				i = len(r.Types)
				at[k.Type] = i
				r.Types = append(r.Types, typeCounts{Type: k.Type, Counts: make([]int64, len(order))})
			}
			r.Types[i].Counts[slices.Index(order, k.Outcome)] += n
			r.Types[i].All += n
		}
	}
	slices.SortFunc(r.Types, func(a, b typeCounts) int {
		return cmp.Or(-cmp.Compare(a.All, b.All), cmp.Compare(a.Type, b.Type))
	})
	return r
}
