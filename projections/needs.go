package projections

import (
	"fmt"

	"accountexport/events"
)

// Need is something that the store has to be asked before an event can be
// folded.
type Need struct {
	Account events.UUID
	Section SectionKind // the page that an item is in, or 0
	Entity  EntityKind  // what waits for an entity, or 0
	Key     string      // of the item or entity
}

// Answer is what the store found.
type Answer struct {
	Need
	Found bool
	Page  string // for an item: the page that holds it, or would among usage days
	Body  []byte // the page's items, or the waiting patch
}

// Needs tells what has to be supplied before the message can be applied, as
// far as it is known already. The answer to one need can show another, so ask
// again after [Account.Supply].
func (a *Account) Needs(m *Decoded) ([]Need, error) {
	if a.erased || m.Invalid != nil || m.Event.Data == nil {
		return nil, nil
	}
	var section *section
	var k waitKey
	switch d := m.Event.Data.(type) {
	case *events.UserRegistered:
		k = waitKey{UserEntity, ""}
	case *events.TeamCreated:
		k = waitKey{TeamEntity, d.ID.String()}
	case *events.QuotaUsageRecorded:
		section, k.id = &a.usage, usageKey(d.UsageDate, d.TeamID)
	case *events.QuotaUsageIncremented:
		section, k.id = &a.usage, usageKey(d.UsageDate, d.TeamID)
	case *events.APIKeyCreated:
		section, k = &a.keys, waitKey{KeyEntity, d.ID.String()}
	case *events.SandboxCreated:
		section, k = &a.sandboxes, waitKey{SandboxEntity, d.ID}
	default:
		section, k = a.patchNeeds(m.Event.Data)
	}
	switch {
	case k.kind == UserEntity && a.hasUser(), k.kind == TeamEntity && a.hasTeam():
		return nil, nil
	}
	var needs []Need
	if section != nil {
		_, found, err := section.find(k.id)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", a.id, err)
		}
		switch found {
		case present:
			return nil, nil
		case unknown:
			needs = append(needs, Need{Account: a.id, Section: section.kind, Key: k.id})
		}
	}
	if k.kind != 0 {
		if _, ok := a.waiter(k); !ok {
			needs = append(needs, Need{Account: a.id, Entity: k.kind, Key: k.id})
		}
	}
	return needs, nil
}

func (a *Account) patchNeeds(data events.Payload) (*section, waitKey) {
	if _, ok := userPatchOf(data, 0); ok {
		return nil, waitKey{UserEntity, ""}
	}
	if id, _, ok := teamPatchOf(data, 0); ok {
		return nil, waitKey{TeamEntity, id.String()}
	}
	if id, _, ok := keyPatchOf(data, 0); ok {
		return &a.keys, waitKey{KeyEntity, id.String()}
	}
	if id, _, ok := sandboxPatchOf(data, 0); ok {
		return &a.sandboxes, waitKey{SandboxEntity, id}
	}
	return nil, waitKey{}
}

// Supply takes an answer of the store. What is in memory already is newer and
// stays.
func (a *Account) Supply(ans *Answer) error {
	var err error
	switch {
	case ans.Section == UsageSection:
		err = a.usage.supply(ans.Key, ans.Page, ans.Body, ans.Found)
	case ans.Section == KeySection:
		err = a.keys.supply(ans.Key, ans.Page, ans.Body, ans.Found)
	case ans.Section == SandboxSection:
		err = a.sandboxes.supply(ans.Key, ans.Page, ans.Body, ans.Found)
	default:
		err = a.supplyWaiting(ans)
	}
	if err != nil {
		return fmt.Errorf("account %s: %q: %w", a.id, ans.Key, err)
	}
	return nil
}

func (a *Account) supplyWaiting(ans *Answer) error {
	k := waitKey{ans.Entity, ans.Key}
	if a.waiting[k] != nil {
		return nil
	}
	if a.waiting == nil {
		a.waiting = map[waitKey]*waiter{}
	}
	w := &waiter{}
	if ans.Found {
		p, err := readPatch(ans.Entity, ans.Body)
		if err != nil {
			return err
		}
		w.patch, w.sum = p, DigestWaiting(ans.Entity, ans.Key, ans.Body)
	}
	a.waiting[k] = w
	return nil
}

func readPatch(kind EntityKind, b []byte) (any, error) {
	switch kind {
	case UserEntity:
		return decodePatch[userPatch](b)
	case TeamEntity:
		return decodePatch[teamPatch](b)
	case KeyEntity:
		return decodePatch[keyPatch](b)
	case SandboxEntity:
		return decodePatch[sandboxPatch](b)
	}
	return nil, fmt.Errorf("kind of entity %d: %w", kind, errCorrupt)
}
