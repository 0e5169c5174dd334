package projections

import (
	"errors"
	"fmt"

	"accountexport/events"
)

// ErrNotLoaded means that something has to be looked up in the store before the message
// can be applied, see [Account.Lookups].
var ErrNotLoaded = errors.New("not in memory")

// Apply folds one message of the account, following contract §3 to the letter. With the
// outcome Parked the error is the reason, an [*events.Invalid]. Any other error
// changes nothing, and means either [ErrNotLoaded] or that a stored row is corrupt,
// so that the account cannot be folded at all.
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

// applyMessage folds a message of an account that is not erased.
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
	section, k := a.target(m.Event.Data)
	switch p := patchOf(m.Event.Data, at); {
	case p == nil:
	case k.kind == UserEntity:
		return a.patchUser(p)
	case k.kind == TeamEntity:
		return a.patchTeam(k, p)
	case section != nil:
		return a.patchItem(section, k, p)
	}
	return Ignored, fmt.Errorf("type %s has no fold", m.Event.Type)
}

func (a *Account) registerUser(d *events.UserRegistered, at events.Time) (Outcome, error) {
	if a.hasUser() {
		return Duplicate, nil
	}
	if _, ok := a.waiter(userKey); !ok {
		return Applied, ErrNotLoaded
	}
	a.user = &User{ID: a.id, Email: d.Email, Tier: d.Tier, QuotaTierID: d.QuotaTierID, IsOperator: d.IsOperator,
		CreatedAt: at, UpdatedAt: at, Name: d.Name, DisplayName: d.DisplayName, AvatarURL: d.AvatarURL}
	a.userDirty = true
	a.applyWaiting(userKey, a.user)
	return Applied, nil
}

func (a *Account) patchUser(p patch) (Outcome, error) {
	if !a.hasUser() {
		return a.deferPatch(userKey, p)
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
	k := teamKey(d.ID)
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
	a.applyWaiting(k, a.team)
	return Applied, nil
}

func (a *Account) patchTeam(k waitKey, p patch) (Outcome, error) {
	if !a.hasTeam() {
		return a.deferPatch(k, p)
	}
	t, err := a.openTeam()
	if err != nil {
		return Applied, err
	}
	if id, _ := events.ParseUUID(k.id); id != t.ID {
		return Parked, otherTeam("data.id", id, t.ID)
	}
	p.apply(t)
	a.teamDirty = true
	return Applied, nil
}

// deferPatch lets a patch wait for its entity.
func (a *Account) deferPatch(k waitKey, p patch) (Outcome, error) {
	if _, ok := a.waiter(k); !ok {
		return Deferred, ErrNotLoaded
	}
	a.addWaiting(k, p)
	return Deferred, nil
}

// otherTeam is why an event is parked that names another team than the account's.
func otherTeam(field string, found, have events.UUID) error {
	return &events.Invalid{Field: field, Found: found.String(), Want: "the account's team, " + have.String()}
}
