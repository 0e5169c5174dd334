package acts

import (
	"fmt"
	"os"
	"slices"

	"accountexport/projections"
)

// spill holds the parts of a fold that were evicted from memory, in a file without a
// name: an account may be of any size, while memory is limited. The operating system
// removes the file when the process ends.
type spill struct {
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

func newSpill() (*spill, error) {
	f, err := os.CreateTemp("", "accountexport-fold-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("fold an account that memory has no room for: %w", err)
	}
	s := &spill{file: f}
	s.forget()
	return s, nil
}

func (s *spill) close() { _ = s.file.Close() }

// forget drops everything: the account was erased.
func (s *spill) forget() {
	s.end, s.usage = 0, nil
	s.pages, s.items, s.waiting = map[pageKey]extent{}, map[itemKey]string{}, map[waitKey]extent{}
}

// store adds what was flushed.
func (s *spill) store(c *projections.Change) error {
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

func (s *spill) write(b []byte) (extent, error) {
	n, err := s.file.WriteAt(b, s.end)
	if err != nil {
		return extent{}, fmt.Errorf("fold an account that memory has no room for: %w", err)
	}
	e := extent{s.end, n}
	s.end += int64(n)
	return e, nil
}

// answer is the answer to a lookup, as a store would give it.
func (s *spill) answer(n projections.Lookup) (a projections.LookupResult, err error) {
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
		a.Body = make([]byte, e.size)
		_, err = s.file.ReadAt(a.Body, e.at)
	}
	return a, err
}
