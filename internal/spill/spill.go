// Package spill keeps parts of an account that memory has no room for in a file.
package spill

import (
	"fmt"
	"os"
	"slices"

	"accountexport/projections"
)

// Spill holds the parts of a fold that were evicted from memory, in a file without a
// name: an account may be of any size, while memory is limited. The operating system
// removes the file when the process ends. What stays in memory is an index. A Spill
// belongs to one goroutine.
type Spill struct {
	file *os.File
	end  int64

	pages   map[pageKey]extent
	usage   []string // keys of the pages of usage days, sorted
	items   map[itemKey]string
	waiting map[waitKey]extent
}

type pageKey struct {
	section projections.SectionKind
	key     string
}

type itemKey struct {
	section projections.SectionKind
	item    string
}

type waitKey struct {
	entity projections.EntityKind
	id     string
}

type extent struct {
	at   int64
	size int
}

// New makes an empty one.
func New() (*Spill, error) {
	f, err := os.CreateTemp("", "accountexport-fold-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("fold an account that memory has no room for: %w", err)
	}
	s := &Spill{file: f}
	s.forget()
	return s, nil
}

// Close removes the file.
func (s *Spill) Close() { _ = s.file.Close() }

// forget drops everything: the account was erased.
func (s *Spill) forget() {
	s.end, s.usage = 0, nil
	s.pages, s.items, s.waiting = map[pageKey]extent{}, map[itemKey]string{}, map[waitKey]extent{}
}

// Add adds what was flushed, in the place of earlier versions of the same parts.
func (s *Spill) Add(c *projections.Change) error {
	if c.Replaces {
		s.forget()
	}
	for i := range c.Pages {
		p := &c.Pages[i]
		k := pageKey{p.Section, p.Key}
		if _, there := s.pages[k]; !there && p.Section == projections.UsageSection {
			at, _ := slices.BinarySearch(s.usage, p.Key)
			s.usage = slices.Insert(s.usage, at, p.Key)
		}
		e, err := s.write(p.Body)
		if err != nil {
			return err
		}
		s.pages[k] = e
	}
	for _, item := range c.Sealed {
		s.items[itemKey{item.Section, item.Item}] = item.Page
	}
	for _, w := range c.Waiting {
		k := waitKey{w.Entity, w.ID}
		if w.Body == nil {
			delete(s.waiting, k)
			continue
		}
		e, err := s.write(w.Body)
		if err != nil {
			return err
		}
		s.waiting[k] = e
	}
	return nil
}

func (s *Spill) write(b []byte) (extent, error) {
	n, err := s.file.WriteAt(b, s.end)
	if err != nil {
		return extent{}, fmt.Errorf("fold an account that memory has no room for: %w", err)
	}
	e := extent{s.end, n}
	s.end += int64(n)
	return e, nil
}

// Answer is the answer to a lookup, as a store would give it.
func (s *Spill) Answer(n projections.Lookup) (a projections.LookupResult, err error) {
	a.Lookup = n
	var e extent
	switch {
	case n.Entity != 0:
		e, a.Found = s.waiting[waitKey{n.Entity, n.Key}]
	case n.Section == projections.UsageSection:
		at, exact := slices.BinarySearch(s.usage, n.Key)
		if exact {
			at++
		}
		if a.Found = at > 0; a.Found {
			a.Page = s.usage[at-1]
		}
	default:
		a.Page, a.Found = s.items[itemKey{n.Section, n.Key}]
	}
	if n.Section != 0 && a.Found {
		e = s.pages[pageKey{n.Section, a.Page}]
	}
	if a.Found {
		a.Body, err = s.read(e)
	}
	return a, err
}

func (s *Spill) read(e extent) ([]byte, error) {
	b := make([]byte, e.size)
	if _, err := s.file.ReadAt(b, e.at); err != nil {
		return nil, fmt.Errorf("fold an account that memory has no room for: %w", err)
	}
	return b, nil
}

// Pages is how many pages there are.
func (s *Spill) Pages() int { return len(s.pages) }

// Each calls do with everything that there is, in changes that have no more than parts, of
// about so many bytes each. It stops at the first error of do and returns it.
func (s *Spill) Each(bytes int, do func(projections.Change) error) error {
	var c projections.Change
	size := 0
	next := func(n int) error {
		if size += n; size < bytes {
			return nil
		}
		full := c
		c, size = projections.Change{}, 0
		return do(full)
	}
	for k, e := range s.pages {
		body, err := s.read(e)
		if err != nil {
			return err
		}
		c.Pages = append(c.Pages, projections.Page{Section: k.section, Key: k.key, Body: body})
		if err := next(len(body)); err != nil {
			return err
		}
	}
	for k, page := range s.items {
		c.Sealed = append(c.Sealed, projections.SealedItem{Section: k.section, Item: k.item, Page: page})
		if err := next(200); err != nil { // about what a row of it takes while it is copied
			return err
		}
	}
	for k, e := range s.waiting {
		body, err := s.read(e)
		if err != nil {
			return err
		}
		c.Waiting = append(c.Waiting, projections.WaitingPatch{Entity: k.entity, ID: k.id, Body: body})
		if err := next(len(body)); err != nil {
			return err
		}
	}
	return do(c)
}

// Hydrate reads back the parts of an account that a message needs.
func (s *Spill) Hydrate(a *projections.Account, d *projections.Decoded) error {
	for {
		needs, err := a.Lookups(d)
		if err != nil || len(needs) == 0 {
			return err
		}
		for _, n := range needs {
			answer, err := s.Answer(n)
			if err == nil {
				err = a.Hydrate(&answer)
			}
			if err != nil {
				return err
			}
		}
	}
}
