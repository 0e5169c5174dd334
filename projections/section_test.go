package projections

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections/internal/script"
)

// stage is an account with its store, to which events are applied one after the other.
type stage struct {
	t     *testing.T
	a     *Account
	store *Tables
	at    uint64
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, store: NewTables()}
	s.a = NewAccount(events.UUID{1})
	return s
}

func (s *stage) event(data events.Payload) *Decoded {
	s.at++
	return &Decoded{Message: Message{Position: s.at},
		To:    events.Subject{Kind: events.SubjectAccount, Account: s.a.id},
		Event: events.Event{Type: data.Type(), Time: events.TimeOf(script.Start.Add(time.Duration(s.at) * time.Second)), Data: data, Sound: true}}
}

func (s *stage) apply(data events.Payload) Outcome {
	s.t.Helper()
	m := s.event(data)
	for {
		needs, err := s.a.Lookups(m)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(needs) == 0 {
			break
		}
		for _, n := range needs {
			answer := s.store.Lookup(n)
			if err := s.a.Hydrate(&answer); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	out, err := s.a.Apply(m)
	if err != nil && out != Parked {
		s.t.Fatal(err)
	}
	return out
}

// flush stores what has changed, and returns how many bytes that is.
func (s *stage) flush() int {
	s.t.Helper()
	c, err := s.a.Flush()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.Apply(&c); err != nil {
		s.t.Fatal(err)
	}
	r := &c.Row
	n := 100 + len(r.User) + len(r.Team) + len(r.Usage) + len(r.Keys) + len(r.Sandboxes)
	for _, p := range c.Pages {
		n += 40 + len(p.Body)
	}
	for _, it := range c.Sealed {
		n += 40 + len(it.Item)
	}
	for _, w := range c.Waiting {
		n += 40 + len(w.Body)
	}
	return n
}

// reload loads the account as it is stored.
func (s *stage) reload() {
	r, _ := s.store.Row(s.a.id)
	s.a = LoadAccount(&r)
}

func sandbox(n int) *events.SandboxCreated {
	return &events.SandboxCreated{ID: fmt.Sprintf("sandbox-%07d", n), Template: "base", Metadata: []byte(`{"owner":"somebody"}`)}
}

// TestCostOfAnEventDoesNotGrow compares the bytes that an event writes for an account of
// 50,000 sandboxes with those for one of 10. The tail fills and empties as sandboxes come,
// so each kind of event is measured over a hundred of them. What the account holds in
// memory must not grow either, once it has pages.
func TestCostOfAnEventDoesNotGrow(t *testing.T) {
	small, middle, large := measureCost(t, 10), measureCost(t, 1000), measureCost(t, 50_000)
	t.Logf("bytes of 10: %+v, of 1,000: %+v, of 50,000: %+v", small, middle, large)
	for _, k := range []struct {
		what         string
		small, large int
	}{
		{"new sandbox", small.fresh, large.fresh},
		{"recent sandbox", small.recent, large.recent},
		{"old sandbox", small.old, large.old},
	} {
		if k.large > 2*k.small {
			t.Errorf("%s: %d bytes on an account of 50,000 sandboxes, %d on one of 10", k.what, k.large, k.small)
		}
	}
	if large.memory > middle.memory+middle.memory/10 {
		t.Errorf("%d bytes in memory of an account of 50,000 sandboxes, %d of one of 1,000", large.memory, middle.memory)
	}
}

// cost is what events write, in bytes, and the most that the account held in
// memory meanwhile.
type cost struct{ fresh, recent, old, memory int }

func measureCost(t *testing.T, size int) (c cost) {
	s := newStage(t)
	for n := range size {
		s.apply(sandbox(n))
		if n%1000 == 999 { // a batch ends, as in the engine
			s.flush()
			s.a.Trim()
		}
	}
	s.flush()
	once := func(sum *int, data events.Payload) {
		s.reload()
		s.apply(data)
		*sum += s.flush()
		c.memory = max(c.memory, s.a.Size())
	}
	const times = 100
	for i := range times {
		once(&c.recent, &events.SandboxStarted{ID: sandbox(size - 1 - i%5).ID})
		once(&c.old, &events.SandboxDestroyed{ID: sandbox(i % 5).ID})
		if size > times {
			once(&c.fresh, sandbox(size+i))
		}
	}
	if size < times { // once, or it would be no longer what it was
		once(&c.fresh, sandbox(size))
		c.fresh *= times
	}
	c.fresh, c.recent, c.old = c.fresh/times, c.recent/times, c.old/times
	return c
}

// TestTailAndPagesAreBounded fills each section at random, and checks the bounds of what is
// stored: a tail of more than one item is within its limit, sealed pages have at least
// pageFill, and long usage pages are split.
func TestTailAndPagesAreBounded(t *testing.T) {
	s := newStage(t)
	day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for n := range 2000 {
		s.apply(sandbox(n))
		s.apply(&events.APIKeyCreated{ID: events.UUID{2, byte(n >> 8), byte(n)}, KeyPrefix: "p", Name: "n", Scope: "s"})
		d := events.Date(day.AddDate(0, 0, n*7919%2000).Format(time.DateOnly)) // 7919 is prime: each day once, in no order
		s.apply(&events.QuotaUsageRecorded{QuotaUsage: events.QuotaUsage{TeamID: events.UUID{3}, UsageDate: d, SandboxCreates: int64(n)}})
		if n%100 == 0 {
			s.flush()
			r := s.store.Rows[s.a.id]
			for _, tail := range [][]byte{r.Usage, r.Keys, r.Sandboxes} {
				if len(tail) > tailMax+tailMax/100 { // plus the commas
					t.Fatalf("a tail of %d bytes after %d items", len(tail), n)
				}
			}
			s.reload()
		}
	}
	s.flush()
	pages := map[SectionKind]int{}
	for k, body := range s.store.Pages {
		pages[k.Section]++
		low, high := pageFill, pageFill+600
		if k.Section == UsageSection {
			low, high = 0, pageSplit+pageSplit/100
		}
		if len(body) < low || len(body) > high {
			t.Errorf("section %d: page %s has %d bytes, want %d to %d", k.Section, k.Key, len(body), low, high)
		}
	}
	for kind, n := range pages {
		if n < 50 {
			t.Errorf("section %d has only %d pages", kind, n)
		}
	}
	if len(pages) != 3 {
		t.Errorf("pages in %d sections, want 3", len(pages))
	}
	r := s.store.Rows[s.a.id]
	if got := [3]int{r.UsagePages, r.KeyPages, r.SandboxPages}; got != [3]int{pages[UsageSection], pages[KeySection], pages[SandboxSection]} {
		t.Errorf("the row counts %v pages, there are %v", got, pages)
	}
}

// TestItemsLongerThanAPage checks that such items have pages of their own, and that the last
// one stays in the tail whatever its length.
func TestItemsLongerThanAPage(t *testing.T) {
	s := newStage(t)
	for n := range 20 {
		big := sandbox(n)
		big.Metadata = fmt.Appendf(nil, `{"big":"%060000d"}`, n)
		s.apply(big)
	}
	s.flush()
	for k, body := range s.store.Pages {
		if len(body) > 61_000 {
			t.Errorf("page %s has %d bytes, which is more than one item", k.Key, len(body))
		}
	}
	if n := len(s.store.Pages); n != 19 {
		t.Errorf("%d pages, want 19", n)
	}
}

// TestUnknownIsAsked applies an event about an item in a page that is not in memory: nothing
// changes until the store has answered.
func TestUnknownIsAsked(t *testing.T) {
	s := newStage(t)
	for n := range 200 {
		s.apply(sandbox(n))
	}
	s.flush()
	s.reload()
	m := s.event(&events.SandboxStarted{ID: sandbox(0).ID})
	if _, err := s.a.Apply(m); !errors.Is(err, ErrNotLoaded) {
		t.Fatalf("error %v, want %v", err, ErrNotLoaded)
	}
	if s.a.Position() == m.Position {
		t.Error("the position moved on")
	}
	if out := s.apply(&events.SandboxStarted{ID: sandbox(0).ID}); out != Applied {
		t.Errorf("outcome %s once the store has answered, want applied", out)
	}
	if out := s.apply(&events.SandboxStarted{ID: "none"}); out != Deferred {
		t.Errorf("outcome %s for one that is nowhere, want deferred", out)
	}
}

// TestAPageIsAskedForOnce looks up one item of a page: the page's other items need no lookup
// then, and those of other pages still do, also once the page is let go.
func TestAPageIsAskedForOnce(t *testing.T) {
	s := newStage(t)
	for n := range 200 {
		s.apply(sandbox(n))
	}
	s.flush()
	s.reload()
	lookups := func(item int) int {
		t.Helper()
		needs, err := s.a.Lookups(s.event(&events.SandboxStarted{ID: sandbox(item).ID}))
		if err != nil {
			t.Fatal(err)
		}
		return len(needs)
	}
	page := s.store.Items[ItemKey{s.a.id, SandboxSection, sandbox(0).ID}]
	same := 0
	for same < 199 && s.store.Items[ItemKey{s.a.id, SandboxSection, sandbox(same + 1).ID}] == page {
		same++
	}
	if same == 0 || same == 199 {
		t.Fatalf("the first page has the items up to %d of 200", same)
	}
	s.apply(&events.SandboxStarted{ID: sandbox(0).ID})
	if n := lookups(same); n != 0 {
		t.Errorf("%d lookups for another item of a page in memory", n)
	}
	if lookups(same+1) == 0 {
		t.Error("no lookup for an item of another page")
	}
	s.flush()
	s.a.Trim()
	if lookups(0) == 0 || lookups(same) == 0 {
		t.Error("no lookup for an item whose page was let go")
	}
}
