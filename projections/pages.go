package projections

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// How a section's items move to pages, how pages are split, and which pages stay in
// memory.

// resized is called after an item in the slot has grown by so many bytes. It seals
// items where the tail is too long, and splits the page where that is.
func (s *section) resized(p slot, by int) {
	if p.page != nil {
		p.page.bytes += by
		p.page.dirty = true
		if s.kind == UsageSection && p.page.bytes > pageSplit && len(p.page.items) > 1 {
			s.splitPage(p.page)
		}
		return
	}
	s.dirty = true
	s.tailBytes += by
	for s.tailBytes > tailMax && len(s.tail) > 1 {
		s.seal()
	}
}

// seal moves the tail's oldest items to a new page.
func (s *section) seal() {
	pg := &page{key: s.low, dirty: true}
	if s.kind != UsageSection {
		pg.key = fmt.Sprintf("%08d", s.pages)
	}
	n := 0
	for n < len(s.tail)-1 && pg.bytes < pageFill {
		pg.bytes += len(s.tail[n].raw)
		n++
	}
	pg.items = slices.Clone(s.tail[:n])
	s.tail = slices.Delete(s.tail, 0, n)
	s.tailBytes -= pg.bytes
	s.addPage(pg)
	if s.kind == UsageSection {
		s.low = s.tail[0].key
		return
	}
	for _, it := range pg.items {
		s.pageByItem[it.key] = pg.key
		s.sealed = append(s.sealed, SealedItem{s.kind, it.key, pg.key})
	}
}

// splitPage moves the upper half of a page's usage days to a new page.
func (s *section) splitPage(pg *page) {
	half := len(pg.items) / 2
	upper := &page{key: pg.items[half].key, items: slices.Clone(pg.items[half:]), dirty: true}
	pg.items = slices.Clip(pg.items[:half])
	for _, it := range upper.items {
		upper.bytes += len(it.raw)
	}
	pg.bytes -= upper.bytes
	s.addPage(upper)
}

// addPage adds a new page.
func (s *section) addPage(pg *page) {
	if s.pageByItem == nil {
		s.pageByItem, s.open = map[string]string{}, map[string]*page{}
	}
	s.open[pg.key] = pg
	s.pages++
}

// joinItems joins items by commas. It drops their parsed form, since it is called by a
// flush, and has the items share the memory of the result, which is never written to
// again: else there were two copies of each.
func joinItems(items []item, bytes int) []byte {
	b := make([]byte, 0, bytes+len(items))
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		from := len(b)
		b = append(b, items[i].raw...)
		items[i].raw, items[i].val = b[from:len(b):len(b)], nil
	}
	return b
}

// body is the tail as it is stored.
func (s *section) body() []byte {
	if s.rawTail != nil {
		return s.rawTail
	}
	return joinItems(s.tail, s.tailBytes)
}

// dirtyPages are the pages that have changed since the last flush, by key.
func (s *section) dirtyPages() []*page {
	var out []*page
	for _, pg := range s.open {
		if pg.dirty {
			out = append(out, pg)
		}
	}
	slices.SortFunc(out, func(a, b *page) int { return strings.Compare(a.key, b.key) })
	return out
}

// trim drops the pages that have not changed since they were stored.
func (s *section) trim() {
	before := len(s.open)
	maps.DeleteFunc(s.open, func(_ string, pg *page) bool { return !pg.dirty })
	switch {
	case len(s.open) == 0:
		s.open, s.pageByItem = nil, nil
	case s.kind == UsageSection: // a split may have moved days to other pages than they were found in
		clear(s.pageByItem)
	default:
		maps.DeleteFunc(s.pageByItem, func(_, pageKey string) bool { return s.open[pageKey] == nil })
	}
	if len(s.open) < before {
		s.complete = false
	}
	s.complete = s.complete || s.pages == 0
}

// size is about how many bytes the section takes in memory.
func (s *section) size() int {
	n := cap(s.rawTail) + s.tailBytes + len(s.tail)*80 + s.overlaySize()
	return n
}

// overlaySize is the part of size that trim would free if nothing had changed.
func (s *section) overlaySize() int {
	n := len(s.pageByItem) * 120
	for _, pg := range s.open {
		n += pg.bytes + len(pg.items)*80 + 160
	}
	return n
}
