package engine

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Range is the positions from First to Last, both included.
type Range struct{ First, Last uint64 }

// Ranges are positions of a stream, as ascending ranges that neither overlap nor touch.
// The zero value holds none.
type Ranges []Range

// RangesOf makes ranges of positions, which may come in any order and more than once.
func RangesOf(positions ...uint64) Ranges {
	out := make(Ranges, 0, len(positions))
	for _, p := range positions {
		out = append(out, Range{p, p})
	}
	return out.Union(nil)
}

// Count is the number of positions.
func (r Ranges) Count() (n uint64) {
	for _, x := range r {
		n += x.Last - x.First + 1
	}
	return n
}

// Covers reports whether all positions of x are in r.
func (r Ranges) Covers(x Range) bool {
	i := sort.Search(len(r), func(i int) bool { return r[i].Last >= x.First })
	return i < len(r) && r[i].First <= x.First && x.Last <= r[i].Last
}

// Union returns the positions that are in r or in other. Unlike everywhere else, r need
// not be in order.
func (r Ranges) Union(other Ranges) Ranges {
	all := slices.Concat(r, other)
	slices.SortFunc(all, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := all[:0]
	for _, x := range all {
		if n := len(out); n > 0 && x.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, x.Last)
			continue
		}
		out = append(out, x)
	}
	return out
}

// Without returns the positions of r that are not in others.
func (r Ranges) Without(others Ranges) (out Ranges) {
	for _, x := range r {
		i := sort.Search(len(others), func(i int) bool { return others[i].Last >= x.First })
		for ; i < len(others) && others[i].First <= x.Last; i++ {
			if others[i].First > x.First {
				out = append(out, Range{x.First, others[i].First - 1})
			}
			x.First = others[i].Last + 1
		}
		if x.First <= x.Last {
			out = append(out, x)
		}
	}
	return out
}

// rangesNamed is how many ranges String lists at most.
const rangesNamed = 20

// String lists the ranges; where they are many, the first ones and the number of the
// other positions.
func (r Ranges) String() string {
	var b strings.Builder
	for i, x := range r {
		switch {
		case i == rangesNamed:
			fmt.Fprintf(&b, " and %d more", r[i:].Count())
			return b.String()
		case i > 0:
			b.WriteString(", ")
		}
		if fmt.Fprint(&b, x.First); x.Last > x.First {
			fmt.Fprintf(&b, "–%d", x.Last)
		}
	}
	return b.String()
}
