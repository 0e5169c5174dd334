package projections

import (
	"fmt"

	"accountexport/events"
)

// Lookup is something that the store has to be asked before an event can be
// folded.
type Lookup struct {
	Account events.UUID
	Section SectionKind // the page that an item is in, or 0
	Entity  EntityKind  // what waits for an entity, or 0
	Key     string      // of the item or entity
}

// LookupResult is what the store found.
type LookupResult struct {
	Lookup
	Found bool
	Page  string // for an item: the page that holds it, or would among usage days
	Body  []byte // the page's items, or the waiting patch
}

// Lookups tells what has to be supplied before the message can be applied, as
// far as it is known already. The answer to one need can show another, so ask
// again after [Account.Hydrate].
func (a *Account) Lookups(m *Decoded) ([]Lookup, error) {
	if a.erased || m.Invalid != nil || m.Event.Data == nil {
		return nil, nil
	}
	section, k := a.target(m.Event.Data)
	switch {
	case k.kind == UserEntity && a.hasUser(), k.kind == TeamEntity && a.hasTeam():
		return nil, nil
	}
	var needs []Lookup
	if section != nil {
		_, found, err := section.find(k.id)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", a.id, err)
		}
		switch found {
		case present:
			return nil, nil
		case notLoaded:
			needs = append(needs, Lookup{Account: a.id, Section: section.kind, Key: k.id})
		}
	}
	if k.kind != 0 {
		if _, ok := a.waiter(k); !ok {
			needs = append(needs, Lookup{Account: a.id, Entity: k.kind, Key: k.id})
		}
	}
	return needs, nil
}

// Hydrate takes an answer of the store. What is in memory already is newer and
// stays.
func (a *Account) Hydrate(ans *LookupResult) error {
	var err error
	switch {
	case ans.Section == UsageSection:
		err = a.usage.hydrate(ans.Key, ans.Page, ans.Body, ans.Found)
	case ans.Section == KeySection:
		err = a.keys.hydrate(ans.Key, ans.Page, ans.Body, ans.Found)
	case ans.Section == SandboxSection:
		err = a.sandboxes.hydrate(ans.Key, ans.Page, ans.Body, ans.Found)
	default:
		err = a.hydrateWaiting(ans)
	}
	if err != nil {
		return fmt.Errorf("account %s: %q: %w", a.id, ans.Key, err)
	}
	return nil
}
