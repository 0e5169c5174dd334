package projections

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// TestSizeFollowsTheAccount checks that the estimate of an account's memory grows and shrinks
// with its sections.
func TestSizeFollowsTheAccount(t *testing.T) {
	s := newStage(t)
	last := s.a.Size()
	for n := range 20 {
		s.apply(sandbox(n))
		if size := s.a.Size(); size < last+100 {
			t.Fatalf("%d bytes after sandbox %d, %d before", size, n, last)
		} else {
			last = size
		}
	}
	s.apply(&events.SandboxStarted{ID: "waits"})
	if size := s.a.Size(); size < last+100 {
		t.Errorf("%d bytes with a waiting event, %d before", size, last)
	}
	s.apply(&events.AccountErased{})
	if size := s.a.Size(); size > 1000 {
		t.Errorf("%d bytes of a tombstone", size)
	}
}

// TestFlagsKeepTheirOrder sets and removes hundreds of flags at random, and compares them
// with a plain list.
func TestFlagsKeepTheirOrder(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		var f flags
		var plain []string
		for step := range 5000 {
			name, value := fmt.Sprint("f", r.IntN(300)), []byte(fmt.Sprint(step))
			at := -1
			for i, p := range plain {
				if p == name {
					at = i
				}
			}
			switch remove := r.IntN(2) == 0; {
			case remove:
				value = nil
				if at >= 0 {
					plain = append(plain[:at], plain[at+1:]...)
				}
			case at < 0:
				plain = append(plain, name)
			}
			f.set(name, value)
			if step%500 == 0 { // as if it were stored and loaded
				text := f.appendJSON(nil)
				f = flags{}
				if err := f.read(text); err != nil {
					t.Fatal(err)
				}
			}
		}
		var got []string
		for _, m := range f.list {
			if m.Value != nil {
				got = append(got, m.Name)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(plain) {
			t.Errorf("flags %v\nwant  %v", got, plain)
		}
		if len(f.list) > 2*len(plain)+17 {
			t.Errorf("%d places for %d flags", len(f.list), len(plain))
		}
	})
}
