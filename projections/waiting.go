package projections

import (
	"cmp"
	"fmt"
	"slices"

	"accountexport/events"
)

// EntityKind names what an event can wait for.
type EntityKind int16

// The kinds of entity. The numbers are stored.
const (
	UserEntity    EntityKind = 1
	TeamEntity    EntityKind = 2
	KeyEntity     EntityKind = 3
	SandboxEntity EntityKind = 4
)

// waitKey names an entity of an account that events can wait for.
type waitKey struct {
	kind EntityKind
	id   string // empty for the user, of which there is one
}

var userKey = waitKey{UserEntity, ""}

func teamKey(id events.UUID) waitKey   { return waitKey{TeamEntity, id.String()} }
func apiKeyKey(id events.UUID) waitKey { return waitKey{KeyEntity, id.String()} }
func sandboxKey(id string) waitKey     { return waitKey{SandboxEntity, id} }

// waiter is what waits for one entity; patch nil: nothing does.
type waiter struct {
	patch patch
	dirty bool
	sum   Digest // as stored
}

// waiter finds what waits for an entity; ok is false where the store has to be
// asked.
func (a *Account) waiter(k waitKey) (w *waiter, ok bool) {
	if w, ok = a.waiting[k]; ok {
		return w, true
	}
	return nil, a.waitingComplete
}

// addWaiting adds a patch to what waits for an entity, and release takes it all.
// Both need waiter to have answered.
func (a *Account) addWaiting(k waitKey, p patch) {
	w := a.waiting[k]
	if w == nil {
		if a.waiting == nil {
			a.waiting = map[waitKey]*waiter{}
		}
		w = &waiter{}
		a.waiting[k] = w
	}
	if w.dirty = true; w.patch != nil {
		w.patch.merge(p)
		return
	}
	w.patch = p
	a.waitingCount++
}

func (a *Account) takeWaiting(k waitKey) patch {
	w := a.waiting[k]
	if w == nil || w.patch == nil {
		return nil
	}
	p := w.patch
	w.patch, w.dirty = nil, true
	a.waitingCount--
	return p
}

func (a *Account) waitingSize() int {
	n := len(a.waiting) * 512
	for _, w := range a.waiting {
		if w.patch != nil {
			n += w.patch.size()
		}
	}
	return n
}

func (a *Account) hydrateWaiting(ans *LookupResult) error {
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
