package projections

import (
	"fmt"

	"accountexport/events"
)

// recordUsage sets the usage of a day, or with add adds to it. An amount whose sum
// would exceed what the contract allows is parked.
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
	return a.create(&a.keys, apiKeyKey(d.ID), &APIKey{ID: d.ID, UserID: a.id, TeamID: d.TeamID, KeyPrefix: d.KeyPrefix, Name: d.Name,
		IsActive: true, CreatedAt: at, Scope: d.Scope, ExpiresAt: d.ExpiresAt, RotationParentKeyID: d.RotationParentKeyID})
}

func (a *Account) createSandbox(d *events.SandboxCreated, at events.Time) (Outcome, error) {
	s := &Sandbox{ID: d.ID, Template: d.Template, Status: "pending", Metadata: d.Metadata, CreatedAt: at, UpdatedAt: at}
	if d.Status != nil {
		s.Status = *d.Status
	}
	if s.Metadata == nil {
		s.Metadata = []byte("{}")
	}
	return a.create(&a.sandboxes, sandboxKey(d.ID), s)
}

// create adds an entity to a section, unless the section has one of its id.
func (a *Account) create(s *section, k waitKey, e entity) (Outcome, error) {
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
	a.applyWaiting(k, e)
	s.insert(p, k.id, e)
	return Applied, nil
}

// applyWaiting applies what waits for an entity that is being created.
func (a *Account) applyWaiting(k waitKey, e entity) {
	if p := a.takeWaiting(k); p != nil {
		p.apply(e)
	}
}

// patchItem changes an entity of a section, or lets the patch wait for it.
func (a *Account) patchItem(s *section, k waitKey, p patch) (Outcome, error) {
	at, found, err := s.find(k.id)
	if err != nil {
		return Applied, err
	}
	switch found {
	case notLoaded:
		return Applied, ErrNotLoaded
	case absent:
		return a.deferPatch(k, p)
	}
	e, err := s.value(at)
	if err != nil {
		return Applied, err
	}
	p.apply(e)
	s.put(at)
	return Applied, nil
}
