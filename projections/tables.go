package projections

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"accountexport/events"
)

// Tables are the rows of one generation in memory. They change as the tables of a store
// have to: [Tables.Apply] defines what a [Change] means. Tests of the fold and of the
// engine store into them, and compare other stores with them. They keep none of the
// memory of their arguments, and are not safe for concurrent use.
type Tables struct {
	Rows    map[events.UUID]AccountRow
	Pages   map[ItemKey][]byte // by the page's own key
	Items   map[ItemKey]string // the key of the page that a sealed item is in
	Waiting map[WaitingKey][]byte
	Tiers   map[string]TierDefinition
	Parked  map[uint64]ParkedMessage // by position
	Sums    map[events.UUID]RowSum
}

// RowSum are the sums of a row: how many messages it was made of, and the digest of all
// that is stored of its account.
type RowSum struct {
	Messages uint64
	Digest   Digest
}

// ItemKey names an item of an account's section, or a page of it.
type ItemKey struct {
	Account events.UUID
	Section SectionKind
	Key     string
}

// WaitingKey names an entity of an account that events wait for.
type WaitingKey struct {
	Account events.UUID
	Entity  EntityKind
	ID      string
}

// NewTables are the tables of an empty generation.
func NewTables() *Tables {
	return &Tables{Rows: map[events.UUID]AccountRow{}, Pages: map[ItemKey][]byte{}, Items: map[ItemKey]string{},
		Waiting: map[WaitingKey][]byte{}, Tiers: map[string]TierDefinition{}, Parked: map[uint64]ParkedMessage{},
		Sums: map[events.UUID]RowSum{}}
}

// Row is a copy of an account's row.
func (t *Tables) Row(account events.UUID) (AccountRow, bool) {
	r, ok := t.Rows[account]
	return cloneRow(r), ok
}

// Lookup answers one lookup, with memory of its own.
func (t *Tables) Lookup(l Lookup) LookupResult {
	r := LookupResult{Lookup: l}
	switch {
	case l.Entity != 0:
		r.Body, r.Found = t.Waiting[WaitingKey{l.Account, l.Entity, l.Key}]
	case l.Section == UsageSection:
		for k := range t.Pages {
			if k.Account == l.Account && k.Section == l.Section && k.Key <= l.Key && (!r.Found || k.Key > r.Page) {
				r.Found, r.Page = true, k.Key
			}
		}
	default:
		r.Page, r.Found = t.Items[ItemKey{l.Account, l.Section, l.Key}]
	}
	if l.Section != 0 && r.Found {
		r.Body = t.Pages[ItemKey{l.Account, l.Section, r.Page}]
	}
	r.Body = bytes.Clone(r.Body)
	return r
}

// Apply writes a change. It returns an error for what a store would refuse as a broken
// key, and where the change is wrong about whether there is a row.
func (t *Tables) Apply(c *Change) error {
	id := c.Row.ID
	old, there := t.Rows[id]
	if c.New == there {
		return fmt.Errorf("account %s: row there %t, change says new %t", id, there, c.New)
	}
	if c.Replaces {
		old = AccountRow{}
		delete(t.Sums, id)
		maps.DeleteFunc(t.Pages, func(k ItemKey, _ []byte) bool { return k.Account == id })
		maps.DeleteFunc(t.Items, func(k ItemKey, _ string) bool { return k.Account == id })
		maps.DeleteFunc(t.Waiting, func(k WaitingKey, _ []byte) bool { return k.Account == id })
		maps.DeleteFunc(t.Parked, func(_ uint64, m ParkedMessage) bool { return m.Account != nil && *m.Account == id })
	}
	r := cloneRow(c.Row)
	for _, f := range [][2]*[]byte{{&r.User, &old.User}, {&r.Team, &old.Team}, {&r.Usage, &old.Usage}, {&r.Keys, &old.Keys},
		{&r.Sandboxes, &old.Sandboxes}} {
		if *f[0] == nil {
			*f[0] = *f[1]
		}
	}
	t.Rows[id] = r
	t.Sums[id] = RowSum{t.Sums[id].Messages + c.Messages, t.Sums[id].Digest.Plus(c.Digest)}
	for _, p := range c.Pages {
		t.Pages[ItemKey{id, p.Section, p.Key}] = bytes.Clone(p.Body)
	}
	for _, it := range c.Sealed {
		k := ItemKey{id, it.Section, it.Item}
		if p, ok := t.Items[k]; ok {
			return fmt.Errorf("account %s: item %q is in page %s and in page %s", id, it.Item, p, it.Page)
		}
		t.Items[k] = it.Page
	}
	for _, w := range c.Waiting {
		k := WaitingKey{id, w.Entity, w.ID}
		if w.Body == nil {
			delete(t.Waiting, k)
		} else {
			t.Waiting[k] = bytes.Clone(w.Body)
		}
	}
	return nil
}

// Define writes a tier.
func (t *Tables) Define(d TierDefinition) {
	d.Body = bytes.Clone(d.Body)
	t.Tiers[d.ID] = d
}

// Park writes a parked message. It returns an error if there is one at its position.
func (t *Tables) Park(m ParkedMessage) error {
	if _, ok := t.Parked[m.Position]; ok {
		return fmt.Errorf("message %d is parked twice", m.Position)
	}
	m.Payload = bytes.Clone(m.Payload)
	t.Parked[m.Position] = m
	return nil
}

// Document assembles an account's export from the tables, as the API does, or says what
// is missing; neither for a tombstone.
func (t *Tables) Document(account events.UUID) (doc []byte, missing []string) {
	r := t.Rows[account]
	tier, ok := t.Tiers[r.QuotaTierID]
	if r.ErasedAt != nil {
		return nil, nil
	}
	if missing = Missing(r.User != nil, r.Team != nil, ok); missing != nil {
		return nil, missing
	}
	section := func(kind SectionKind, tail []byte) []byte {
		var keys []string
		for k := range t.Pages {
			if k.Account == account && k.Section == kind {
				keys = append(keys, k.Key)
			}
		}
		slices.Sort(keys)
		var parts [][]byte
		for _, k := range keys {
			parts = append(parts, t.Pages[ItemKey{account, kind, k}])
		}
		if len(tail) > 0 {
			parts = append(parts, tail)
		}
		return bytes.Join(parts, []byte(","))
	}
	return fmt.Appendf(nil, `{"user":%s,"team":%s,"quota_tier":%s,"quota_usage":[%s],"api_keys":[%s],"sandboxes":[%s]}`,
		r.User, r.Team, tier.Body, section(UsageSection, r.Usage), section(KeySection, r.Keys),
		section(SandboxSection, r.Sandboxes)), nil
}

// DigestOf computes the digest of all that is stored of an account.
func (t *Tables) DigestOf(account events.UUID) Digest {
	r := t.Rows[account]
	d := DigestRow(&r)
	for k, body := range t.Pages {
		if k.Account == account {
			d = d.Plus(DigestPage(k.Section, k.Key, body))
		}
	}
	for k, patch := range t.Waiting {
		if k.Account == account {
			d = d.Plus(DigestWaiting(k.Entity, k.ID, patch))
		}
	}
	for position, m := range t.Parked {
		if m.Account != nil && *m.Account == account {
			d = d.Plus(DigestParked(position, m.Payload))
		}
	}
	return d
}

func cloneRow(r AccountRow) AccountRow {
	for _, f := range []*[]byte{&r.User, &r.Team, &r.Usage, &r.Keys, &r.Sandboxes} {
		*f = bytes.Clone(*f)
	}
	return r
}
