package projections

// SectionKind is one of the long sections of a document.
type SectionKind int16

// The long sections. The numbers are stored.
const (
	UsageSection   SectionKind = 1
	KeySection     SectionKind = 2
	SandboxSection SectionKind = 3
)

// Sizes of the live tail and of pages, in bytes of JSON. A tail longer than tailMax
// gives its oldest items to sealed pages of at least pageFill each, so that what an
// event rewrites does not grow with its account.
const (
	tailMax   = 6 << 10
	pageFill  = 3 << 10
	pageSplit = 2 * pageFill // a usage page longer than this is split
)

// entity is anything that a document shows.
type entity interface {
	appendJSON(b []byte) []byte
}

// item is one entity of a section. raw is always current. val is its parsed form,
// which is kept from its first use to the next flush.
type item struct {
	key string
	raw []byte
	val entity
}

// page is a run of sealed items that is in memory.
type page struct {
	key   string
	items []item
	bytes int
	dirty bool
	sum   Digest // of the page as stored; zero for a new one
}

// section is one long section of an account: a live tail, which is always in memory,
// and sealed pages, which are in memory only where one of their items is needed or has
// changed since the last flush.
//
// API keys and sandboxes are in the order of their creation: a page's key is its
// number, and a directory in the store leads from an item to its page. Usage days are
// ordered by day and team: a page's key is the lowest item key that it may hold, and
// the tail holds the items that are not below low.
//
// What goes where depends on the account's messages alone, not on how they were cut
// into batches.
type section struct {
	kind    SectionKind
	rawTail []byte // the stored tail, until it is first needed; then tail has its items

	tail      []item
	tailBytes int
	low       string // usage days from this key on are in the tail
	pages     int    // number of sealed pages, in the store and in memory
	dirty     bool   // the tail has changed since the last flush
	tailSum   Digest // of the tail as stored, once it was needed
	storedLow string // low as stored

	complete   bool              // open has all pages and pageByItem all sealed items
	open       map[string]*page  // pages in memory, by key
	pageByItem map[string]string // page of a sealed item (usage day: as of the last lookup); noPage where it is in none
	sealed     []SealedItem      // items that went to a page since the last flush
}

// SealedItem says which page an item is in.
type SealedItem struct {
	Section SectionKind
	Item    string
	Page    string
}

// noPage stands for no page; no page has this key.
const noPage = "-"

// newSection is an empty section.
func newSection(kind SectionKind) section { return section{kind: kind, complete: true} }

// decode parses a stored item. There is a section three times in every account in
// memory, so it is told by its kind and holds no functions.
func (s *section) decode(raw []byte) (entity, error) {
	switch s.kind {
	case UsageSection:
		return readUsageDay(raw)
	case KeySection:
		return readAPIKey(raw)
	}
	return readSandbox(raw)
}

// keyOf reads the key of a stored item.
func (s *section) keyOf(raw []byte) (string, error) {
	if s.kind == UsageSection {
		return usageItemKey(raw)
	}
	return firstString(raw)
}

// parseTail cuts the stored tail into items, where that was not done yet.
func (s *section) parseTail() error {
	if s.rawTail == nil {
		return nil
	}
	items, n, err := s.split(s.rawTail)
	if err != nil {
		return err
	}
	if s.tailSum == (Digest{}) {
		s.tailSum = digestTail(s.kind, s.rawTail) // computed now, since the tail is usually about to change
	}
	s.tail, s.tailBytes, s.rawTail = items, n, nil
	return nil
}

// split cuts a tail or a page into items.
func (s *section) split(b []byte) (items []item, bytes int, err error) {
	err = splitItems(b, func(raw []byte) error {
		key, err := s.keyOf(raw)
		items = append(items, item{key: key, raw: raw})
		bytes += len(raw)
		return err
	})
	return items, bytes, err
}
