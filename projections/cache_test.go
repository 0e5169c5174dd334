package projections

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"accountexport/events"
)

func accountOf(n int) *Account {
	a := NewAccount(events.UUID{byte(n >> 8), byte(n)})
	a.stored = true
	return a
}

// TestCacheStaysWithinItsBound evicts what was least recently used, and counts
// what is there.
func TestCacheStaysWithinItsBound(t *testing.T) {
	c := newCache(10 * accountOf(0).Size())
	for n := range 100 {
		c.add(accountOf(n))
		c.get(events.UUID{}) // the first is always in use
		c.committed(1, nil)
		if c.size > c.limit {
			t.Fatalf("%d bytes after %d accounts, the bound is %d", c.size, n+1, c.limit)
		}
	}
	if c.lru.Len() != 10 || len(c.byID) != 10 {
		t.Errorf("%d accounts in the list and %d by id, want 10", c.lru.Len(), len(c.byID))
	}
	for _, n := range []int{0, 91, 99} {
		if c.get(accountOf(n).id) == nil {
			t.Errorf("account %d is gone", n)
		}
	}
	for _, n := range []int{1, 90} {
		if c.get(accountOf(n).id) != nil {
			t.Errorf("account %d is still there", n)
		}
	}
}

// TestCacheKeepsWhatIsNotStored evicts neither an account with changes nor one
// whose changes are being committed, however small its bound, and lets both go
// once they are stored.
func TestCacheKeepsWhatIsNotStored(t *testing.T) {
	c := newCache(1)
	changed, flying, both, clean := c.add(accountOf(1)), c.add(accountOf(2)), c.add(accountOf(3)), c.add(accountOf(4))
	changed.dirty = true
	flying.inFlight = 7
	both.dirty, both.inFlight = true, 7
	left := func(want ...*cached) {
		t.Helper()
		if len(c.byID) != len(want) {
			t.Errorf("%d accounts are left, want %d", len(c.byID), len(want))
		}
		for _, e := range want {
			if c.byID[e.id] != e {
				t.Errorf("account %s is gone", e.id)
			}
		}
	}
	c.committed(6, []*cached{flying, both, clean}) // an earlier batch than the one that holds their changes
	left(changed, flying, both)
	c.committed(7, []*cached{flying, both})
	left(changed, both)
	if both.inFlight != 0 {
		t.Error("its earlier change is still in flight")
	}
	changed.dirty, changed.inFlight = false, 8
	both.dirty, both.inFlight = false, 8
	c.committed(8, []*cached{changed, both})
	left()
	if c.size != 0 {
		t.Errorf("%d bytes counted in an empty cache", c.size)
	}
}

// TestCacheTrimsLongAccounts lets the pages of an account go once they are
// stored, and not before.
func TestCacheTrimsLongAccounts(t *testing.T) {
	s := newStage(t)
	for n := range 1000 {
		s.apply(sandbox(n))
	}
	c := newCache(1 << 30)
	e := c.add(s.a)
	e.dirty = true
	c.committed(1, []*cached{e})
	if e.Overlay() <= overlayMax {
		t.Fatal("pages that are not stored are gone, or the account is too short")
	}
	s.flush()
	e.dirty, e.inFlight = false, 2
	c.committed(2, []*cached{e})
	if e.Overlay() > 0 || c.size != e.Size() {
		t.Errorf("%d bytes of pages are kept, %d bytes counted of %d", e.Overlay(), c.size, e.Size())
	}
	if out := s.apply(&events.SandboxStarted{ID: sandbox(3).ID}); out != Applied {
		t.Errorf("an old sandbox, then: %s, want applied", out)
	}
}

// TestSizeFollowsTheAccount holds the estimate of an account's memory against
// what is in it: it grows and shrinks with the sections.
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

// TestFlagsKeepTheirOrder sets and removes hundreds of flags at random, beside
// a plain list that does the same.
func TestFlagsKeepTheirOrder(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
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
			if step%500 == 0 { // as it is after it was stored
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
