package projections

import (
	"cmp"
	"fmt"
	"slices"

	"accountexport/events"
)

// EntityKind is a kind of entity that events can wait for.
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

// waiter is what waits for one entity. A nil patch means that nothing does.
type waiter struct {
	patch patch
	dirty bool   // changed since the last flush
	sum   Digest // of the patch as stored
}

// waiter finds what waits for an entity. ok is false where that is not known here, and
// the store has to be asked.
func (a *Account) waiter(k waitKey) (w *waiter, ok bool) {
	if w, ok = a.waiting[k]; ok {
		return w, true
	}
	return nil, a.waitingComplete
}

// addWaiting has a patch wait for an entity, after those that do already. Whether some
// do must be known: waiter has returned ok.
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

// takeWaiting removes and returns what waits for an entity, nil where nothing does.
// Here, too, waiter must have returned ok.
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

// waitingSize is about how many bytes the waiting patches take in memory.
func (a *Account) waitingSize() int {
	n := len(a.waiting) * 512
	for _, w := range a.waiting {
		if w.patch != nil {
			n += w.patch.size()
		}
	}
	return n
}

// hydrateWaiting takes over what the store has waiting for an entity.
func (a *Account) hydrateWaiting(r *LookupResult) error {
	k := waitKey{r.Entity, r.Key}
	if a.waiting[k] != nil {
		return nil
	}
	if a.waiting == nil {
		a.waiting = map[waitKey]*waiter{}
	}
	w := &waiter{}
	if r.Found {
		p, err := readPatch(r.Entity, r.Body)
		if err != nil {
			return err
		}
		w.patch, w.sum = p, DigestWaiting(r.Entity, r.Key, r.Body)
	}
	a.waiting[k] = w
	return nil
}

// flushWaiting adds the patches that have changed, and those that wait no more.
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
