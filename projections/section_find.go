package projections

import (
	"fmt"
	"slices"
	"sort"
)

// slot is a place in a section.
type slot struct {
	page  *page // nil: the tail
	index int   // where the item is or, among usage days, belongs
}

// finding is what find has found.
type finding uint8

const (
	absent finding = iota
	present
	notLoaded // the store has to be asked
)

// find looks an item up in what is in memory. The slot is where the item is; of a usage
// day that is absent, where it belongs.
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

// findDay looks up a usage day: in the tail, or in the page in whose range it falls.
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

// hydrate takes over what a lookup of an item has found: the page that holds it, or for a
// usage day the page in whose range it falls. ok is false where there is none.
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
	if s.kind != UsageSection { // the page's other items need no lookup either
		for i := range items {
			s.pageByItem[items[i].key] = pageKey
		}
	}
	return nil
}

// at is the item in a slot.
func (s *section) at(p slot) *item {
	if p.page != nil {
		return &p.page.items[p.index]
	}
	return &s.tail[p.index]
}

// value is the parsed item in a slot. A change to it takes effect with put.
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

// put writes back the value of the item in a slot.
func (s *section) put(p slot) {
	it := s.at(p)
	before := len(it.raw)
	it.raw = it.val.appendJSON(make([]byte, 0, before+32))
	s.resized(p, len(it.raw)-before)
}

// insert adds an item: a usage day into its slot, any other at the end of the tail.
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
