package projections

import (
	"fmt"
	"slices"
	"sort"
)

// SectionKind names one of the long sections of a document.
type SectionKind int16

// The long sections. The numbers are stored.
const (
	UsageSection   SectionKind = 1
	KeySection     SectionKind = 2
	SandboxSection SectionKind = 3
)

// Sizes of the live tail and of pages, in bytes of JSON. A tail longer than
// tailMax gives its oldest items to sealed pages of at least pageFill each, so
// what an event rewrites does not grow with its account.
const (
	tailMax   = 6 << 10
	pageFill  = 3 << 10
	pageSplit = 2 * pageFill // a usage page longer than this is split
)

type entity interface {
	appendJSON(b []byte) []byte
}

// item is one entity of a section. raw is always current; val is its parsed
// form, kept from the first touch to the next flush.
type item struct {
	key string
	raw []byte
	val entity
}

// page is a sealed run of items, in memory.
type page struct {
	key   string
	items []item
	bytes int
	dirty bool
	sum   Digest // as stored; of a new page none
}

// section is one long section of an account: a live tail, always in memory,
// and sealed pages, in memory only where one of their items is needed or has
// changed since the last flush.
//
// API keys and sandboxes are in the order of creation: a page's key is its
// number, and a directory in the store leads from item to page. Usage days are
// ordered by day and team: a page's key is the lowest item key that it may
// hold, and the tail holds what is not below low.
//
// What goes where depends on the account's messages alone, not on how they
// were cut into batches.
type section struct {
	kind    SectionKind
	decode  func(raw []byte) (entity, error)
	keyOf   func(raw []byte) (string, error)
	rawTail []byte // the stored tail, until it is first needed

	tail      []item
	tailBytes int
	low       string
	pages     int // sealed pages there are, in the store and in memory
	dirty     bool
	tailSum   Digest // of the tail as stored, once it was needed
	storedLow string

	complete   bool              // open and where hold all there is
	open       map[string]*page  // pages in memory, by key
	pageByItem map[string]string // page of a sealed item (usage: as of the last lookup); noPage where it is in none
	sealed     []SealedItem      // items that went to a page since the last flush
}

// SealedItem says that an item is in a page.
type SealedItem struct {
	Section SectionKind
	Item    string
	Page    string
}

const noPage = "-" // sorts apart from any page key, and is none

func newSection(kind SectionKind) section {
	s := section{kind: kind, complete: true}
	switch kind {
	case UsageSection:
		s.decode, s.keyOf = readUsageDay, usageItemKey
	case KeySection:
		s.decode, s.keyOf = readAPIKey, firstString
	case SandboxSection:
		s.decode, s.keyOf = readSandbox, firstString
	}
	return s
}

// parseTail cuts the stored tail into items.
func (s *section) parseTail() error {
	if s.rawTail == nil {
		return nil
	}
	items, n, err := s.split(s.rawTail)
	if err != nil {
		return err
	}
	s.tailSum = digestTail(s.kind, s.rawTail) // it is about to change, as a rule
	s.tail, s.tailBytes, s.rawTail = items, n, nil
	return nil
}

func (s *section) split(b []byte) (items []item, bytes int, err error) {
	err = splitItems(b, func(raw []byte) error {
		key, err := s.keyOf(raw)
		items = append(items, item{key: key, raw: raw})
		bytes += len(raw)
		return err
	})
	return items, bytes, err
}

type slot struct {
	page  *page // nil: the tail
	index int   // where the item is or, among usage days, belongs
}

type finding uint8

const (
	absent finding = iota
	present
	notLoaded // the store has to be asked
)

// find looks an item up in what is in memory.
func (s *section) find(key string) (slot, finding, error) {
	if err := s.parseTail(); err != nil {
		return slot{}, absent, err
	}
	if s.kind == UsageSection {
		p, f := s.findDay(key)
		return p, f, nil
	}
	for i := len(s.tail) - 1; i >= 0; i-- {
		if s.tail[i].key == key {
			return slot{nil, i}, present, nil
		}
	}
	if s.pages == 0 {
		return slot{}, absent, nil
	}
	pageKey, ok := s.pageByItem[key]
	switch {
	case !ok && s.complete, pageKey == noPage:
		return slot{}, absent, nil
	case !ok:
		return slot{}, notLoaded, nil
	}
	pg := s.open[pageKey]
	if pg == nil {
		return slot{}, notLoaded, nil
	}
	i := slices.IndexFunc(pg.items, func(it item) bool { return it.key == key })
	if i < 0 {
		return slot{}, absent, fmt.Errorf("item %q is not in page %s: %w", key, pageKey, errCorrupt)
	}
	return slot{pg, i}, present, nil
}

func (s *section) findDay(key string) (slot, finding) {
	items, p := s.tail, slot{}
	if s.pages > 0 && key < s.low {
		base, ok := s.pageByItem[key]
		if !ok && !s.complete {
			return p, notLoaded
		}
		for k := range s.open {
			if k <= key && (!ok || k > base) {
				base, ok = k, true
			}
		}
		if p.page = s.open[base]; p.page == nil {
			return p, notLoaded
		}
		items = p.page.items
	}
	i := sort.Search(len(items), func(i int) bool { return items[i].key >= key })
	p.index = i
	if i < len(items) && items[i].key == key {
		return p, present
	}
	return p, absent
}

// hydrate takes what the store answered about an item: the page that holds it
// (usage: whose range it falls in) and that page's body, or ok false.
func (s *section) hydrate(key, pageKey string, body []byte, ok bool) error {
	if s.pageByItem == nil {
		s.pageByItem, s.open = map[string]string{}, map[string]*page{}
	}
	if known, there := s.pageByItem[key]; there && (known == noPage || s.open[known] != nil) {
		return nil
	}
	if !ok {
		s.pageByItem[key] = noPage
		return nil
	}
	s.pageByItem[key] = pageKey
	if s.open[pageKey] != nil {
		return nil
	}
	items, n, err := s.split(body)
	if err != nil {
		return fmt.Errorf("page %s: %w", pageKey, err)
	}
	s.open[pageKey] = &page{key: pageKey, items: items, bytes: n, sum: DigestPage(s.kind, pageKey, body)}
	return nil
}

func (s *section) at(p slot) *item {
	if p.page != nil {
		return &p.page.items[p.index]
	}
	return &s.tail[p.index]
}

// value is the parsed item; a change to it counts after put.
func (s *section) value(p slot) (entity, error) {
	it := s.at(p)
	if it.val == nil {
		v, err := s.decode(it.raw)
		if err != nil {
			return nil, fmt.Errorf("item %q: %w", it.key, err)
		}
		it.val = v
	}
	return it.val, nil
}

// put writes the item's value back.
func (s *section) put(p slot) {
	it := s.at(p)
	before := len(it.raw)
	it.raw = it.val.appendJSON(make([]byte, 0, before+32))
	s.resized(p, len(it.raw)-before)
}

// insert adds an item: at its place among usage days, else at the end.
func (s *section) insert(p slot, key string, v entity) {
	it := item{key: key, val: v, raw: v.appendJSON(make([]byte, 0, 384))}
	switch {
	case s.kind != UsageSection:
		s.tail = append(s.tail, it)
		p = slot{}
	case p.page != nil:
		p.page.items = slices.Insert(p.page.items, p.index, it)
	default:
		s.tail = slices.Insert(s.tail, p.index, it)
	}
	s.resized(p, len(it.raw))
}
