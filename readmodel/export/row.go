package export

import (
	"accountexport/projections"
)

// row is what [rowColumns] give.
type row struct {
	live, erased, user, team bool // the generation is live; the account is erased, has a user, has a team
	minor                    int
	position, tierAt         uint64
	parked, dismissed        int
	pages                    [3]int // of each section
	partition, tierPartition int    // the tier's is -1 where there is none
	asOf                     *asOfTimes
}

// rowWidth is how many columns they are.
const rowWidth = 14

// pageCount is how many pages all sections have together.
func (r *row) pageCount() int { return r.pages[0] + r.pages[1] + r.pages[2] }

func (r *row) meta(q *queries) Meta {
	m := Meta{Position: r.position, TierPosition: r.tierAt, Parked: r.parked, Dismissed: r.dismissed, Major: q.major, Minor: r.minor, Incarnation: q.history}
	if r.erased {
		m.State = Erased
		return m
	}
	m.Missing = projections.Missing(r.user, r.team, r.tierPartition >= 0)
	if m.State = Complete; m.Missing != nil {
		m.State = Incomplete
	}
	m.AsOf = r.asOf.forDocument(r.partition, r.tierPartition)
	return m
}
