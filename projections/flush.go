package projections

import (
	"fmt"
)

// Page is a sealed page as it is stored.
type Page struct {
	Section SectionKind
	Key     string
	Body    []byte
}

// WaitingPatch is what waits for an entity; Body nil: nothing any more.
type WaitingPatch struct {
	Entity EntityKind
	ID     string
	Body   []byte
}

// Change is what a batch changes of one account.
type Change struct {
	Row      AccountRow
	New      bool // the store has no row of the account
	Replaces bool // all that the store has of the account goes first, parked messages too
	Pages    []Page
	Sealed   []SealedItem
	Waiting  []WaitingPatch

	// What the batch adds to the row's own, modulo 2^62 each half of the
	// digest; where the account is new or wiped, all there is.
	Messages uint64 // of the account that were consumed, whatever their outcome
	Digest   Digest
}

// Flush returns what has changed since the last flush. The account counts on
// it being stored: where that fails, the account is to be loaded anew.
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
	if a.userDirty {
		r.User = a.user.appendJSON(nil)
		if a.userSum == (Digest{}) {
			a.userSum = digestColumn(userPart, "", a.userRaw)
		}
		c.Digest.replace(&a.userSum, digestColumn(userPart, "", r.User))
		a.userRaw, a.userDirty = r.User, false
		if len(a.user.AbuseFlags.list) < 64 {
			a.user = nil // parsed anew when next touched
		}
	}
	if a.teamDirty {
		r.Team = a.team.appendJSON(nil)
		if a.teamSum == (Digest{}) {
			a.teamSum = digestColumn(teamPart, "", a.teamRaw)
		}
		c.Digest.replace(&a.teamSum, digestColumn(teamPart, "", r.Team))
		a.teamRaw, a.teamDirty = r.Team, false
	}
	if a.hasTeam() {
		t, err := a.openTeam()
		if err != nil {
			return c, fmt.Errorf("account %s: %w", a.id, err)
		}
		r.QuotaTierID = t.QuotaTierID
	}
	r.Usage, r.Keys, r.Sandboxes = a.usage.flush(&c), a.keys.flush(&c), a.sandboxes.flush(&c)
	r.UsageLow, r.UsagePages = a.usage.low, a.usage.pages
	r.KeyPages, r.SandboxPages = a.keys.pages, a.sandboxes.pages
	r.Waiting = a.waitingCount
	return c, a.flushWaiting(&c)
}

// flush adds the section's changed pages and returns its tail, nil where that
// is unchanged.
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
