package projections

import (
	"errors"
	"fmt"

	"accountexport/events"
)

// ErrNotLoaded says that the store has to be asked first, see [Account.Lookups].
var ErrNotLoaded = errors.New("not in memory")

// Apply folds one message of the account, following contract §3 to the letter.
// The error is the reason for Parked, an [*events.Invalid]. Any other error
// changes nothing and means that the account cannot be folded at all: a stored
// row is corrupt, or what [Account.Lookups] asked for was not supplied.
func (a *Account) Apply(m *Decoded) (Outcome, error) {
	if a.erased {
		return Ignored, nil
	}
	out, err := a.applyMessage(m)
	if err != nil {
		if reason := (*events.Invalid)(nil); !errors.As(err, &reason) {
			return out, fmt.Errorf("account %s at position %d: %w", a.id, m.Position, err)
		}
		out = Parked
		a.parked++
		a.digest = a.digest.Plus(DigestParked(m.Position, m.Data))
	}
	a.position, a.partition = m.Position, m.Partition
	a.messages++
	return out, err
}

func (a *Account) applyMessage(m *Decoded) (Outcome, error) {
	if m.Invalid != nil {
		return Parked, m.Invalid
	}
	at := m.Event.Time
	switch d := m.Event.Data.(type) {
	case nil:
		return Ignored, nil
	case *events.AccountErased:
		a.position = m.Position
		a.erase(at)
		return Applied, nil
	case *events.UserRegistered:
		return a.registerUser(d, at)
	case *events.TeamCreated:
		return a.createTeam(d, at)
	case *events.APIKeyCreated:
		return a.createKey(d, at)
	case *events.SandboxCreated:
		return a.createSandbox(d, at)
	case *events.QuotaUsageRecorded:
		return a.recordUsage(&d.QuotaUsage, at, false)
	case *events.QuotaUsageIncremented:
		return a.recordUsage(&d.QuotaUsage, at, true)
	}
	if p, ok := userPatchOf(m.Event.Data, at); ok {
		return a.patchUser(p)
	}
	if id, p, ok := teamPatchOf(m.Event.Data, at); ok {
		return a.patchTeam(id, p)
	}
	if id, p, ok := keyPatchOf(m.Event.Data, at); ok {
		return a.patchKey(id, p)
	}
	if id, p, ok := sandboxPatchOf(m.Event.Data, at); ok {
		return a.patchSandbox(id, p)
	}
	return Ignored, fmt.Errorf("type %s has no fold", m.Event.Type)
}

func (a *Account) registerUser(d *events.UserRegistered, at events.Time) (Outcome, error) {
	if a.hasUser() {
		return Duplicate, nil
	}
	k := waitKey{UserEntity, ""}
	if _, ok := a.waiter(k); !ok {
		return Applied, ErrNotLoaded
	}
	a.user = &User{ID: a.id, Email: d.Email, Tier: d.Tier, QuotaTierID: d.QuotaTierID, IsOperator: d.IsOperator,
		CreatedAt: at, UpdatedAt: at, Name: d.Name, DisplayName: d.DisplayName, AvatarURL: d.AvatarURL}
	a.userDirty = true
	if p, ok := a.takeWaiting(k).(*userPatch); ok {
		p.apply(a.user)
	}
	return Applied, nil
}

func (a *Account) patchUser(p userPatch) (Outcome, error) {
	if !a.hasUser() {
		return a.deferPatch(waitKey{UserEntity, ""}, func(waiting any) any {
			if w, ok := waiting.(*userPatch); ok {
				w.merge(p)
				return w
			}
			return &p
		})
	}
	u, err := a.openUser()
	if err != nil {
		return Applied, err
	}
	p.apply(u)
	a.userDirty = true
	return Applied, nil
}

func (a *Account) createTeam(d *events.TeamCreated, at events.Time) (Outcome, error) {
	if a.hasTeam() {
		t, err := a.openTeam()
		if err != nil {
			return Applied, err
		}
		if t.ID != d.ID {
			return Parked, otherTeam("data.id", d.ID, t.ID)
		}
		return Duplicate, nil
	}
	k := waitKey{TeamEntity, d.ID.String()}
	if _, ok := a.waiter(k); !ok {
		return Applied, ErrNotLoaded
	}
	owner := a.id
	if d.OwnerUserID != nil {
		owner = *d.OwnerUserID
	}
	a.team = &Team{ID: d.ID, Name: d.Name, Slug: d.Slug, OwnerUserID: owner, QuotaTierID: d.QuotaTierID,
		CreatedAt: at, UpdatedAt: at}
	a.teamDirty = true
	if p, ok := a.takeWaiting(k).(*teamPatch); ok {
		p.apply(a.team)
	}
	return Applied, nil
}

func (a *Account) patchTeam(id events.UUID, p teamPatch) (Outcome, error) {
	if !a.hasTeam() {
		return a.deferPatch(waitKey{TeamEntity, id.String()}, func(waiting any) any {
			if w, ok := waiting.(*teamPatch); ok {
				w.merge(p)
				return w
			}
			return &p
		})
	}
	t, err := a.openTeam()
	if err != nil {
		return Applied, err
	}
	if t.ID != id {
		return Parked, otherTeam("data.id", id, t.ID)
	}
	p.apply(t)
	a.teamDirty = true
	return Applied, nil
}

func (a *Account) recordUsage(d *events.QuotaUsage, at events.Time, add bool) (Outcome, error) {
	key := usageKey(d.UsageDate, d.TeamID)
	p, found, err := a.usage.find(key)
	if err != nil {
		return Applied, fmt.Errorf("quota usage: %w", err)
	}
	switch found {
	case notLoaded:
		return Applied, ErrNotLoaded
	case absent:
		a.usage.insert(p, key, &UsageDay{TeamID: d.TeamID, UsageDate: d.UsageDate,
			SandboxCreates: d.SandboxCreates, GBHours: d.GBHours, UpdatedAt: at})
		return Applied, nil
	}
	v, err := a.usage.value(p)
	if err != nil {
		return Applied, fmt.Errorf("quota usage: %w", err)
	}
	day := v.(*UsageDay)
	creates, hours := d.SandboxCreates, d.GBHours
	if add {
		creates += day.SandboxCreates
		hours += day.GBHours
		if creates > events.MaxInteger {
			return Parked, &events.Invalid{Field: "data.sandbox_creates", Found: fmt.Sprintf("a sum of %d", creates),
				Want: fmt.Sprintf("a day's sum of at most %d", int64(events.MaxInteger))}
		}
		if hours > events.MaxDecimal {
			text, _ := hours.AppendText(nil)
			return Parked, &events.Invalid{Field: "data.gb_hours", Found: "a sum of " + string(text),
				Want: "a day's sum below 1000000000000"}
		}
	}
	day.SandboxCreates, day.GBHours, day.UpdatedAt = creates, hours, max(day.UpdatedAt, at)
	a.usage.put(p)
	return Applied, nil
}

func (a *Account) createKey(d *events.APIKeyCreated, at events.Time) (Outcome, error) {
	if a.hasTeam() {
		t, err := a.openTeam()
		if err != nil {
			return Applied, err
		}
		if t.ID != d.TeamID {
			return Parked, otherTeam("data.team_id", d.TeamID, t.ID)
		}
	}
	id := d.ID.String()
	return a.create(&a.keys, waitKey{KeyEntity, id}, func(waiting any) entity {
		k := &APIKey{ID: d.ID, UserID: a.id, TeamID: d.TeamID, KeyPrefix: d.KeyPrefix, Name: d.Name, IsActive: true,
			CreatedAt: at, Scope: d.Scope, ExpiresAt: d.ExpiresAt, RotationParentKeyID: d.RotationParentKeyID}
		if p, ok := waiting.(*keyPatch); ok {
			p.apply(k)
		}
		return k
	})
}

func (a *Account) createSandbox(d *events.SandboxCreated, at events.Time) (Outcome, error) {
	return a.create(&a.sandboxes, waitKey{SandboxEntity, d.ID}, func(waiting any) entity {
		s := &Sandbox{ID: d.ID, Template: d.Template, Status: "pending", Metadata: d.Metadata, CreatedAt: at, UpdatedAt: at}
		if d.Status != nil {
			s.Status = *d.Status
		}
		if s.Metadata == nil {
			s.Metadata = []byte("{}")
		}
		if p, ok := waiting.(*sandboxPatch); ok {
			p.apply(s)
		}
		return s
	})
}

// create adds an entity to a section unless it is there.
func (a *Account) create(s *section, k waitKey, build func(waiting any) entity) (Outcome, error) {
	p, found, err := s.find(k.id)
	if err != nil {
		return Applied, err
	}
	switch found {
	case notLoaded:
		return Applied, ErrNotLoaded
	case present:
		return Duplicate, nil
	}
	if _, ok := a.waiter(k); !ok {
		return Applied, ErrNotLoaded
	}
	s.insert(p, k.id, build(a.takeWaiting(k)))
	return Applied, nil
}

func (a *Account) patchKey(id events.UUID, p keyPatch) (Outcome, error) {
	return a.patchItem(&a.keys, waitKey{KeyEntity, id.String()}, func(e entity) { p.apply(e.(*APIKey)) },
		func(waiting any) any {
			if w, ok := waiting.(*keyPatch); ok {
				w.merge(p)
				return w
			}
			return &p
		})
}

func (a *Account) patchSandbox(id string, p sandboxPatch) (Outcome, error) {
	return a.patchItem(&a.sandboxes, waitKey{SandboxEntity, id}, func(e entity) { p.apply(e.(*Sandbox)) },
		func(waiting any) any {
			if w, ok := waiting.(*sandboxPatch); ok {
				w.merge(p)
				return w
			}
			return &p
		})
}

// patchItem changes an entity of a section, or lets the change wait for it.
func (a *Account) patchItem(s *section, k waitKey, apply func(entity), wait func(waiting any) any) (Outcome, error) {
	p, found, err := s.find(k.id)
	if err != nil {
		return Applied, err
	}
	switch found {
	case notLoaded:
		return Applied, ErrNotLoaded
	case absent:
		return a.deferPatch(k, wait)
	}
	v, err := s.value(p)
	if err != nil {
		return Applied, err
	}
	apply(v)
	s.put(p)
	return Applied, nil
}

func (a *Account) deferPatch(k waitKey, patch func(waiting any) any) (Outcome, error) {
	if _, ok := a.waiter(k); !ok {
		return Deferred, ErrNotLoaded
	}
	a.addWaiting(k, patch)
	return Deferred, nil
}

func otherTeam(field string, found, have events.UUID) error {
	return &events.Invalid{Field: field, Found: found.String(), Want: "the account's team, " + have.String()}
}
