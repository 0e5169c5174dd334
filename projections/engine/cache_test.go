package engine

import (
	"fmt"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/internal/script"
)

func accountOf(n int) *projections.Account {
	return projections.LoadAccount(&projections.AccountRow{ID: events.UUID{byte(n >> 8), byte(n)}})
}

// TestCacheStaysWithinItsBound checks that the least recently used account is evicted
// first, and that the cache counts the size of what it holds.
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
	if len(c.order()) != 10 || len(c.byID) != 10 {
		t.Errorf("%d accounts in the list and %d by id, want 10", len(c.order()), len(c.byID))
	}
	for _, n := range []int{0, 91, 99} {
		if c.get(accountOf(n).ID()) == nil {
			t.Errorf("account %d is gone", n)
		}
	}
	for _, n := range []int{1, 90} {
		if c.get(accountOf(n).ID()) != nil {
			t.Errorf("account %d is still there", n)
		}
	}
}

// TestCacheKeepsWhatIsNotStored checks that neither an account with changes nor one whose
// changes are being committed is evicted, however small the cache, and that both can be
// once they are stored.
func TestCacheKeepsWhatIsNotStored(t *testing.T) {
	c := newCache(1)
	changed, flying, both, clean := c.add(accountOf(1)), c.add(accountOf(2)), c.add(accountOf(3)), c.add(accountOf(4))
	changed.dirty = true
	flying.inFlight = 7
	both.dirty, both.inFlight = true, 7
	left := func(want ...*cacheEntry) {
		t.Helper()
		if len(c.byID) != len(want) {
			t.Errorf("%d accounts are left, want %d", len(c.byID), len(want))
		}
		for _, e := range want {
			if c.byID[e.ID()] != e {
				t.Errorf("account %s is gone", e.ID())
			}
		}
	}
	c.committed(6, []*cacheEntry{flying, both, clean}) // an earlier batch than the one that holds their changes
	left(changed, flying, both)
	c.committed(7, []*cacheEntry{flying, both})
	left(changed, both)
	if both.inFlight != 0 {
		t.Error("its earlier change is still in flight")
	}
	changed.dirty, changed.inFlight = false, 8
	both.dirty, both.inFlight = false, 8
	c.committed(8, []*cacheEntry{changed, both})
	left()
	if c.size != 0 {
		t.Errorf("%d bytes counted in an empty cache", c.size)
	}
}

// TestCacheTrimsLongAccounts checks that the pages of an account are dropped once they are
// stored, and not before.
func TestCacheTrimsLongAccounts(t *testing.T) {
	stored, id := projections.NewTables(), events.UUID{1}
	a := projections.NewAccount(id)
	at := uint64(0)
	apply := func(data events.Payload) projections.Outcome {
		at++
		d := &projections.Decoded{Message: projections.Message{Position: at}, To: events.Subject{Kind: events.SubjectAccount, Account: id},
			Event: events.Event{Type: data.Type(), Time: events.TimeOf(script.Start.Add(time.Duration(at) * time.Second)), Data: data, Sound: true}}
		for {
			needs, err := a.Lookups(d)
			if err != nil {
				t.Fatal(err)
			}
			if len(needs) == 0 {
				break
			}
			for _, n := range needs {
				answer := stored.Lookup(n)
				if err := a.Hydrate(&answer); err != nil {
					t.Fatal(err)
				}
			}
		}
		out, err := a.Apply(d)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	sandbox := func(n int) string { return fmt.Sprintf("sandbox-%07d", n) }
	for n := range 1000 {
		apply(&events.SandboxCreated{ID: sandbox(n), Template: "base", Metadata: []byte(`{"owner":"somebody"}`)})
	}
	c := newCache(1 << 30)
	e := c.add(a)
	e.dirty = true
	c.committed(1, []*cacheEntry{e})
	if e.Overlay() <= overlayMax {
		t.Fatal("pages that are not stored are gone, or the account is too short")
	}
	change, err := a.Flush()
	if err != nil {
		t.Fatal(err)
	}
	if err := stored.Apply(&change); err != nil {
		t.Fatal(err)
	}
	e.dirty, e.inFlight = false, 2
	c.committed(2, []*cacheEntry{e})
	if e.Overlay() > 0 || c.size != e.Size() {
		t.Errorf("%d bytes of pages are kept, %d bytes counted of %d", e.Overlay(), c.size, e.Size())
	}
	if out := apply(&events.SandboxStarted{ID: sandbox(3)}); out != projections.Applied {
		t.Errorf("an old sandbox, then: %s, want applied", out)
	}
}

// TestCacheCompactsWhatRests checks that an account that has not changed again while its
// batch was committed is held as it is stored, once the cache is half full and not before.
func TestCacheCompactsWhatRests(t *testing.T) {
	flushed := func() *projections.Account {
		a := projections.NewAccount(events.UUID{1})
		for n := range 12 {
			data := &events.SandboxCreated{ID: fmt.Sprint("sandbox-", n), Template: "base"}
			if _, err := a.Apply(&projections.Decoded{Event: events.Event{Data: data, Sound: true}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		return a
	}
	whole := flushed().Size()
	for _, test := range []struct {
		name    string
		limit   int
		dirty   bool
		compact bool
	}{
		{"half full", 2*whole - 1, false, true},
		{"changed again", 2*whole - 1, true, false},
		{"room for more", 2 * whole, false, false},
	} {
		c := newCache(test.limit)
		e := c.add(flushed())
		e.dirty, e.inFlight = test.dirty, 1
		c.committed(1, []*cacheEntry{e})
		if e.Size() < whole != test.compact || c.size != e.Size() {
			t.Errorf("%s: %d bytes, %d counted, %d before", test.name, e.Size(), c.size, whole)
		}
	}
}

// order lists the entries from the least recently used on, and checks that the ring
// reads the same both ways.
func (c *cache) order() (out []*cacheEntry) {
	for e := c.ring.newer; e != &c.ring; e = e.newer {
		if e.newer.older != e || e.older.newer != e {
			panic("the ring is broken")
		}
		out = append(out, e)
	}
	return out
}
