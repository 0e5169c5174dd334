package projections

import (
	"cmp"
	"fmt"
	"slices"

	"accountexport/events"
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

func (a *Account) flushWaiting(c *Change) error {
	for k, w := range a.waiting {
		if !w.dirty {
			continue
		}
		w.dirty = false
		p := WaitingPatch{Entity: k.kind, ID: k.id}
		if w.patch != nil {
			b, err := encodePatch(w.patch)
			if err != nil {
				return fmt.Errorf("account %s: encode what waits for %q: %w", a.id, k.id, err)
			}
			p.Body = b
			c.Digest.replace(&w.sum, DigestWaiting(p.Entity, p.ID, b))
		} else {
			c.Digest.replace(&w.sum, Digest{})
		}
		c.Waiting = append(c.Waiting, p)
	}
	slices.SortFunc(c.Waiting, func(x, y WaitingPatch) int {
		return cmp.Or(cmp.Compare(x.Entity, y.Entity), cmp.Compare(x.ID, y.ID))
	})
	return nil
}

// State says how far an account's document has come.
type State uint8

// The states of an account that was heard of.
const (
	Incomplete State = iota
	Complete
	Erased
)

// String is the state's name.
func (s State) String() string { return [...]string{"incomplete", "complete", "erased"}[s] }

// Position is the stream sequence of the last message consumed.
func (a *Account) Position() uint64 { return a.position }

// Parked is the number of the account's messages that are parked.
func (a *Account) Parked() int { return a.parked }

// Tier names the quota tier that the account's team is on; empty without one.
func (a *Account) Tier() (string, error) {
	if !a.hasTeam() {
		return "", nil
	}
	t, err := a.openTeam()
	if err != nil {
		return "", err
	}
	return t.QuotaTierID, nil
}

// Document is the account's export where all of it is in memory, as it is
// when it was folded from its first message on and never trimmed. tier is the
// body of the team's tier, nil where that is not defined. Where the account
// is not complete it names what is missing.
func (a *Account) Document(tier []byte) (doc []byte, missing []string, err error) {
	if a.erased {
		return nil, nil, nil
	}
	missing = Missing(a.hasUser(), a.hasTeam(), tier != nil)
	if missing != nil {
		return nil, missing, nil
	}
	u, err := a.openUser()
	if err != nil {
		return nil, nil, err
	}
	t, err := a.openTeam()
	if err != nil {
		return nil, nil, err
	}
	doc = u.appendJSON(append(doc, `{"user":`...))
	doc = t.appendJSON(append(doc, `,"team":`...))
	doc = append(append(doc, `,"quota_tier":`...), tier...)
	names := [...]string{`,"quota_usage":[`, `,"api_keys":[`, `,"sandboxes":[`}
	for i, s := range a.sections() {
		if !s.complete {
			return nil, nil, fmt.Errorf("account %s: %w", a.id, ErrNotLoaded)
		}
		doc = append(doc, names[i]...)
		doc = s.appendAll(doc)
		doc = append(doc, ']')
	}
	return append(doc, '}'), nil, nil
}

// Missing names what keeps a document from being complete, nil where it is.
func Missing(user, team, tier bool) []string {
	var m []string
	for _, part := range []struct {
		there bool
		name  string
	}{{user, "user"}, {team, "team"}, {tier, "quota_tier"}} {
		if !part.there {
			m = append(m, part.name)
		}
	}
	return m
}

func (s *section) appendAll(doc []byte) []byte {
	keys := make([]string, 0, len(s.open))
	for k := range s.open {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		pg := s.open[k]
		doc = append(append(doc, joinItems(pg.items, pg.bytes)...), ',')
	}
	if b := s.body(); len(b) > 0 {
		return append(doc, b...)
	}
	if len(keys) > 0 {
		doc = doc[:len(doc)-1]
	}
	return doc
}

// TierDefinition is a shared tier as it is stored.
type TierDefinition struct {
	ID        string
	Partition int
	Position  uint64 // of the message that defined it
	Body      []byte // JSON ready to send
}

// DefineTier folds a message of a tier subject. The definition is nil unless
// the outcome is Applied.
func DefineTier(m *Decoded) (*TierDefinition, Outcome) {
	if m.Invalid != nil {
		return nil, Parked
	}
	d, ok := m.Event.Data.(*events.QuotaTierDefined)
	if !ok {
		return nil, Ignored
	}
	return &TierDefinition{ID: d.ID, Partition: m.Partition, Position: m.Position, Body: appendTier(nil, d)}, Applied
}

// State is how far the account's document has come, where missing is what
// [Account.Document] says is missing.
func (a *Account) State(missing []string) State {
	switch {
	case a.erased:
		return Erased
	case missing != nil:
		return Incomplete
	}
	return Complete
}
