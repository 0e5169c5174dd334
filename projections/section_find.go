package projections

import (
	"fmt"
	"slices"
	"sort"
)

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
