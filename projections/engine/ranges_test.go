package engine

import (
	"math/rand/v2"
	"testing"
)

// TestRanges compares operations on ranges with the same on sets of single positions.
func TestRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	some := func() (Ranges, map[uint64]bool) {
		set := map[uint64]bool{}
		var positions []uint64
		for range rng.IntN(30) {
			p := uint64(1 + rng.IntN(40))
			positions, set[p] = append(positions, p), true
		}
		return RangesOf(positions...), set
	}
	same := func(what string, r Ranges, want func(p uint64) bool) {
		t.Helper()
		n := uint64(0)
		for p := uint64(1); p <= 45; p++ {
			if want(p) {
				n++
			}
			if r.Covers(Range{p, p}) != want(p) {
				t.Fatalf("%s: %v, position %d: want %v", what, r, p, want(p))
			}
		}
		if r.Count() != n {
			t.Fatalf("%s: %v counts %d, want %d", what, r, r.Count(), n)
		}
		for i := range r {
			if r[i].First > r[i].Last || i > 0 && r[i].First <= r[i-1].Last+1 {
				t.Fatalf("%s: %v is not in order", what, r)
			}
		}
	}
	for range 2000 {
		a, inA := some()
		b, inB := some()
		same("of", a, func(p uint64) bool { return inA[p] })
		same("union", a.Union(b), func(p uint64) bool { return inA[p] || inB[p] })
		same("without", a.Without(b), func(p uint64) bool { return inA[p] && !inB[p] })
		same("as before", a, func(p uint64) bool { return inA[p] })
		from := uint64(1 + rng.IntN(40))
		x := Range{from, from + uint64(rng.IntN(5))}
		covered := true
		for p := x.First; p <= x.Last; p++ {
			covered = covered && inA[p]
		}
		if a.Covers(x) != covered {
			t.Fatalf("%v covers %v: want %v", a, x, covered)
		}
	}
	if s := RangesOf(9, 5, 6, 7, 20).String(); s != "5–7, 9, 20" {
		t.Errorf("named as %q", s)
	}
}
