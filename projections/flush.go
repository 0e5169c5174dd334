package projections

import (
	"bytes"
)

// Page is a sealed page as it is stored: items joined by commas.
type Page struct {
	Section SectionKind
	Key     string
	Body    []byte
}

// WaitingPatch is what waits for an entity; a nil Body means that nothing does any more.
type WaitingPatch struct {
	Entity EntityKind
	ID     string
	Body   []byte
}

// Change is what a batch changes of one account in the store.
type Change struct {
	Row      AccountRow
	New      bool // the store has no row of the account yet
	Replaces bool // the store first deletes everything of the account, parked messages too
	Pages    []Page
	Sealed   []SealedItem
	Waiting  []WaitingPatch

	// What the batch adds to the sums of the row, each half of the digest modulo
	// 2^62. For an account that is new or was wiped they are all there is.
	Messages uint64 // messages of the account that were consumed, whatever their outcome
	Digest   Digest
}

// Flush returns what has changed since the last flush. The account counts on that being
// stored: where it is not, the account has to be loaded again.
func (a *Account) Flush() (Change, error) {
	c := Change{New: !a.stored, Replaces: a.wiped && a.stored}
	a.stored, a.wiped = true, false
	r := &c.Row
	r.ID, r.Partition, r.Position, r.Parked = a.id, a.partition, a.position, a.parked
	c.Messages, c.Digest = a.messages, a.digest
	a.messages, a.digest = 0, Digest{}
	if a.erased {
		at := a.erasedAt
		r.ErasedAt = &at
		return c, nil
	}
	var scratch [1024]byte // what is kept has the size that it needs
	if a.userDirty {
		r.User = bytes.Clone(a.user.appendJSON(scratch[:0]))
		if a.userSum == (Digest{}) {
			a.userSum = digestColumn(userPart, "", a.userRaw)
		}
		c.Digest.replace(&a.userSum, digestColumn(userPart, "", r.User))
		a.userRaw, a.userDirty = r.User, false
		if len(a.user.AbuseFlags.list) < 64 {
			a.user = nil // parsed again when next needed, which is cheap for few flags
		}
	}
	if a.teamDirty {
		r.Team = bytes.Clone(a.team.appendJSON(scratch[:0]))
		if a.teamSum == (Digest{}) {
			a.teamSum = digestColumn(teamPart, "", a.teamRaw)
		}
		c.Digest.replace(&a.teamSum, digestColumn(teamPart, "", r.Team))
		a.teamRaw, a.teamDirty, a.tierID = r.Team, false, a.team.QuotaTierID
	}
	r.QuotaTierID = a.tierID
	r.Usage, r.Keys, r.Sandboxes = a.usage.flush(&c), a.keys.flush(&c), a.sandboxes.flush(&c)
	r.UsageLow, r.UsagePages = a.usage.low, a.usage.pages
	r.KeyPages, r.SandboxPages = a.keys.pages, a.sandboxes.pages
	r.Waiting = a.waitingCount
	return c, a.flushWaiting(&c)
}

// flush adds the section's changed pages to the change, and returns the tail, nil where
// it is unchanged.
func (s *section) flush(c *Change) []byte {
	for _, pg := range s.dirtyPages() {
		p := Page{Section: s.kind, Key: pg.key, Body: joinItems(pg.items, pg.bytes)}
		c.Digest.replace(&pg.sum, DigestPage(p.Section, p.Key, p.Body))
		c.Pages = append(c.Pages, p)
		pg.dirty = false
	}
	if s.low != s.storedLow {
		c.Digest = c.Digest.Plus(digestLow(s.low)).Minus(digestLow(s.storedLow))
		s.storedLow = s.low
	}
	c.Sealed = append(c.Sealed, s.sealed...)
	s.sealed = nil
	if !s.dirty {
		return nil
	}
	s.dirty = false
	tail := s.body()
	c.Digest.replace(&s.tailSum, digestTail(s.kind, tail))
	return tail
}
