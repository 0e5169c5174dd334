package projections

import (
	"github.com/go-json-experiment/json"

	"accountexport/events"
)

// A patch is what one event, or several in a row, changes in an entity that
// exists. Applying p and then q is the same as applying p.then(q); so events
// that wait for their entity are kept as one patch, whatever their number, and
// the one patch is applied when the entity is created.
//
// Field by field the later one wins, except for points in time that only move
// forward (At and UsedAt).

type userPatch struct {
	At                           events.Time // the latest of the events' times
	Email, Tier, QuotaTierID     events.Optional[string]
	IsOperator                   events.Optional[bool]
	Name, DisplayName, AvatarURL events.Optional[string]
	EmailVerifiedAt              events.Optional[events.Time]
	SoftDeletedAt                events.Optional[events.Time]
	DeleteScheduledAt            events.Optional[events.Time]
	Flags                        []events.Flag // in order; Value nil removes

	// What Flags and those of later patches come to, once there was a later
	// one: with an index, so that the cost of one more does not grow with
	// their number.
	folded *flags
}

func userPatchOf(data events.Payload, at events.Time) (userPatch, bool) {
	p := userPatch{At: at}
	switch d := data.(type) {
	case *events.UserProfileUpdated:
		p.Name, p.DisplayName, p.AvatarURL = d.Name, d.DisplayName, d.AvatarURL
	case *events.UserEmailChanged:
		p.Email, p.EmailVerifiedAt = events.Some(d.Email), events.Clear[events.Time]()
	case *events.UserEmailVerified:
		p.EmailVerifiedAt = events.Some(at)
	case *events.UserTierChanged:
		p.Tier, p.QuotaTierID = events.Some(d.Tier), events.Some(d.QuotaTierID)
	case *events.UserOperatorChanged:
		p.IsOperator = events.Some(d.IsOperator)
	case *events.UserAbuseFlagsChanged:
		p.Flags = d.Flags
	case *events.UserDeletionScheduled:
		p.DeleteScheduledAt = events.Some(d.DeleteScheduledAt)
	case *events.UserDeletionCancelled:
		p.DeleteScheduledAt = events.Clear[events.Time]()
	case *events.UserSoftDeleted:
		p.SoftDeletedAt = events.Some(at)
	case *events.UserRestored:
		p.SoftDeletedAt, p.DeleteScheduledAt = events.Clear[events.Time](), events.Clear[events.Time]()
	default:
		return p, false
	}
	return p, true
}

func (p *userPatch) apply(u *User) {
	set(&u.Email, p.Email)
	set(&u.Tier, p.Tier)
	set(&u.QuotaTierID, p.QuotaTierID)
	set(&u.IsOperator, p.IsOperator)
	setPtr(&u.Name, p.Name)
	setPtr(&u.DisplayName, p.DisplayName)
	setPtr(&u.AvatarURL, p.AvatarURL)
	setPtr(&u.EmailVerifiedAt, p.EmailVerifiedAt)
	setPtr(&u.SoftDeletedAt, p.SoftDeletedAt)
	setPtr(&u.DeleteScheduledAt, p.DeleteScheduledAt)
	u.AbuseFlags.apply(p.flags())
	u.UpdatedAt = max(u.UpdatedAt, p.At)
}

func (p *userPatch) merge(q userPatch) {
	override(&p.Email, q.Email)
	override(&p.Tier, q.Tier)
	override(&p.QuotaTierID, q.QuotaTierID)
	override(&p.IsOperator, q.IsOperator)
	override(&p.Name, q.Name)
	override(&p.DisplayName, q.DisplayName)
	override(&p.AvatarURL, q.AvatarURL)
	override(&p.EmailVerifiedAt, q.EmailVerifiedAt)
	override(&p.SoftDeletedAt, q.SoftDeletedAt)
	override(&p.DeleteScheduledAt, q.DeleteScheduledAt)
	if ops := q.flags(); len(ops) > 0 {
		// A user is created without flags, so a waiting removal is kept only
		// by what it does to the flags that wait before it.
		if p.folded == nil {
			p.folded = &flags{}
			p.folded.apply(p.Flags)
			p.Flags = nil
		}
		p.folded.apply(ops)
	}
	p.At = max(p.At, q.At)
}

// flags are the changes of flags, in order.
func (p *userPatch) flags() []events.Flag {
	if p.folded == nil {
		return p.Flags
	}
	p.folded.compact()
	return p.folded.list
}

// size, of every patch, is about what its values take.
func (p *userPatch) size() int {
	f := flags{list: p.Flags}
	n := f.size() + textSize(p.Email, p.Tier, p.QuotaTierID, p.Name, p.DisplayName, p.AvatarURL)
	if p.folded != nil {
		n += p.folded.size()
	}
	return n
}

func textSize(texts ...events.Optional[string]) (n int) {
	for _, t := range texts {
		n += len(t.Value)
	}
	return n
}

type teamPatch struct {
	At            events.Time
	Name, Slug    events.Optional[string]
	OwnerUserID   events.Optional[events.UUID]
	QuotaTierID   events.Optional[string]
	SoftDeletedAt events.Optional[events.Time]
}

func teamPatchOf(data events.Payload, at events.Time) (id events.UUID, p teamPatch, ok bool) {
	p.At = at
	switch d := data.(type) {
	case *events.TeamUpdated:
		id, p.Name, p.Slug = d.ID, d.Name, d.Slug
	case *events.TeamOwnerChanged:
		id, p.OwnerUserID = d.ID, events.Some(d.OwnerUserID)
	case *events.TeamQuotaTierChanged:
		id, p.QuotaTierID = d.ID, events.Some(d.QuotaTierID)
	case *events.TeamSoftDeleted:
		id, p.SoftDeletedAt = d.ID, events.Some(at)
	case *events.TeamRestored:
		id, p.SoftDeletedAt = d.ID, events.Clear[events.Time]()
	default:
		return id, p, false
	}
	return id, p, true
}

func (p *teamPatch) apply(t *Team) {
	set(&t.Name, p.Name)
	set(&t.Slug, p.Slug)
	set(&t.OwnerUserID, p.OwnerUserID)
	set(&t.QuotaTierID, p.QuotaTierID)
	setPtr(&t.SoftDeletedAt, p.SoftDeletedAt)
	t.UpdatedAt = max(t.UpdatedAt, p.At)
}

func (p *teamPatch) merge(q teamPatch) {
	override(&p.Name, q.Name)
	override(&p.Slug, q.Slug)
	override(&p.OwnerUserID, q.OwnerUserID)
	override(&p.QuotaTierID, q.QuotaTierID)
	override(&p.SoftDeletedAt, q.SoftDeletedAt)
	p.At = max(p.At, q.At)
}

func (p *teamPatch) size() int { return textSize(p.Name, p.Slug, p.QuotaTierID) }

type keyPatch struct {
	Name, Scope events.Optional[string]
	ExpiresAt   events.Optional[events.Time]
	IsActive    events.Optional[bool]
	UsedAt      events.Optional[events.Time] // the latest
	RevokedAt   events.Optional[events.Time]
}

func keyPatchOf(data events.Payload, at events.Time) (id events.UUID, p keyPatch, ok bool) {
	switch d := data.(type) {
	case *events.APIKeyUpdated:
		id, p.Name, p.Scope, p.ExpiresAt, p.IsActive = d.ID, d.Name, d.Scope, d.ExpiresAt, d.IsActive
	case *events.APIKeyUsed:
		id, p.UsedAt = d.ID, events.Some(at)
	case *events.APIKeyRevoked:
		id, p.IsActive, p.RevokedAt = d.ID, events.Some(false), events.Some(at)
	default:
		return id, p, false
	}
	return id, p, true
}

func (p *keyPatch) apply(k *APIKey) {
	set(&k.Name, p.Name)
	set(&k.Scope, p.Scope)
	set(&k.IsActive, p.IsActive)
	setPtr(&k.ExpiresAt, p.ExpiresAt)
	setPtr(&k.RevokedAt, p.RevokedAt)
	if p.UsedAt.Set && (k.LastUsedAt == nil || *k.LastUsedAt < p.UsedAt.Value) {
		setPtr(&k.LastUsedAt, p.UsedAt)
	}
}

func (p *keyPatch) merge(q keyPatch) {
	override(&p.Name, q.Name)
	override(&p.Scope, q.Scope)
	override(&p.IsActive, q.IsActive)
	override(&p.ExpiresAt, q.ExpiresAt)
	override(&p.RevokedAt, q.RevokedAt)
	if q.UsedAt.Set && (!p.UsedAt.Set || p.UsedAt.Value < q.UsedAt.Value) {
		p.UsedAt = q.UsedAt
	}
}

func (p *keyPatch) size() int { return textSize(p.Name, p.Scope) }

type sandboxPatch struct {
	At                     events.Time
	Status                 events.Optional[string]
	Metadata               []byte // nil: unchanged
	StartedAt, DestroyedAt events.Optional[events.Time]
}

func (p *sandboxPatch) size() int { return textSize(p.Status) + len(p.Metadata) }

func sandboxPatchOf(data events.Payload, at events.Time) (id string, p sandboxPatch, ok bool) {
	p.At = at
	switch d := data.(type) {
	case *events.SandboxStarted:
		id, p.Status, p.StartedAt = d.ID, events.Some("running"), events.Some(at)
	case *events.SandboxStatusChanged:
		id, p.Status = d.ID, events.Some(d.Status)
	case *events.SandboxMetadataUpdated:
		id, p.Metadata = d.ID, d.Metadata
	case *events.SandboxDestroyed:
		id, p.Status, p.DestroyedAt = d.ID, events.Some("destroyed"), events.Some(at)
	default:
		return id, p, false
	}
	return id, p, true
}

func (p *sandboxPatch) apply(s *Sandbox) {
	set(&s.Status, p.Status)
	if p.Metadata != nil {
		s.Metadata = p.Metadata
	}
	setPtr(&s.StartedAt, p.StartedAt)
	setPtr(&s.DestroyedAt, p.DestroyedAt)
	s.UpdatedAt = max(s.UpdatedAt, p.At)
}

func (p *sandboxPatch) merge(q sandboxPatch) {
	override(&p.Status, q.Status)
	if q.Metadata != nil {
		p.Metadata = q.Metadata
	}
	override(&p.StartedAt, q.StartedAt)
	override(&p.DestroyedAt, q.DestroyedAt)
	p.At = max(p.At, q.At)
}

func set[T any](dst *T, o events.Optional[T]) {
	if o.Set {
		*dst = o.Value
	}
}

func setPtr[T any](dst **T, o events.Optional[T]) {
	switch {
	case o.Set && o.Null:
		*dst = nil
	case o.Set:
		*dst = &o.Value
	}
}

func override[T any](dst *events.Optional[T], o events.Optional[T]) {
	if o.Set {
		*dst = o
	}
}

// Patches wait in the store as JSON that only this package reads.

func encodePatch(p any) ([]byte, error) {
	if u, ok := p.(*userPatch); ok && u.folded != nil {
		whole := *u
		whole.Flags = u.flags()
		p = &whole
	}
	return json.Marshal(p, json.OmitZeroStructFields(true))
}

func decodePatch[P any](b []byte) (any, error) {
	var p P
	err := json.Unmarshal(b, &p)
	return &p, err
}
