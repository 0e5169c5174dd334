package projections

import (
	"fmt"

	"accountexport/events"
)

// Lookup is something that the store has to be asked before an event can be folded:
// either a page or what waits for an entity.
type Lookup struct {
	Account events.UUID
	Section SectionKind // of the item whose page is needed; 0: not a page
	Entity  EntityKind  // of the entity whose waiting patch is needed; 0: not a patch
	Key     string      // the item's key or the entity's id
}

// LookupResult is the answer to a lookup.
type LookupResult struct {
	Lookup
	Found bool
	Page  string // key of the page that holds the item; for a usage day, of the page in whose range it falls
	Body  []byte // the page's items, or the waiting patch
}

// Lookups are what has to be looked up before the message can be applied, as far as
// that can be told already: what one of them finds may show that another is needed.
// So after [Account.Hydrate], where Apply still returns [ErrNotLoaded], ask again.
func (a *Account) Lookups(m *Decoded) ([]Lookup, error) {
	if a.erased || m.Invalid != nil || m.Event.Data == nil {
		return nil, nil
	}
	section, k := a.target(m.Event.Data)
	switch {
	case k.kind == UserEntity && a.hasUser(), k.kind == TeamEntity && a.hasTeam():
		return nil, nil
	}
	var lookups []Lookup
	if section != nil {
		_, found, err := section.find(k.id)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", a.id, err)
		}
		switch found {
		case present:
			return nil, nil
		case notLoaded:
			lookups = append(lookups, Lookup{Account: a.id, Section: section.kind, Key: k.id})
		}
	}
	if k.kind != 0 {
		if _, ok := a.waiter(k); !ok {
			lookups = append(lookups, Lookup{Account: a.id, Entity: k.kind, Key: k.id})
		}
	}
	return lookups, nil
}

// Hydrate takes over what a lookup has found. What is in memory already is newer, and
// stays.
func (a *Account) Hydrate(r *LookupResult) error {
	var err error
	switch {
	case r.Section == UsageSection:
		err = a.usage.hydrate(r.Key, r.Page, r.Body, r.Found)
	case r.Section == KeySection:
		err = a.keys.hydrate(r.Key, r.Page, r.Body, r.Found)
	case r.Section == SandboxSection:
		err = a.sandboxes.hydrate(r.Key, r.Page, r.Body, r.Found)
	default:
		err = a.hydrateWaiting(r)
	}
	if err != nil {
		return fmt.Errorf("account %s: %q: %w", a.id, r.Key, err)
	}
	return nil
}
