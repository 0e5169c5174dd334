package projections

import "accountexport/events"

// The four patches, one for each kind of entity. Each names its fields twice, once
// for the entity and once for a later patch; a table of fields that says it once
// would need reflection or a function for each field.

// userPatch changes a user. Its field names are stored, as those of every patch.
type userPatch struct {
	At                           events.Time // the latest of the events' times
	Email, Tier, QuotaTierID     events.Optional[string]
	IsOperator                   events.Optional[bool]
	Name, DisplayName, AvatarURL events.Optional[string]
	EmailVerifiedAt              events.Optional[events.Time]
	SoftDeletedAt                events.Optional[events.Time]
	DeleteScheduledAt            events.Optional[events.Time]
	Flags                        []events.Flag // in order; a nil Value removes the flag

	// folded is what Flags and the flags of later patches come to, once there was a
	// later one; Flags is then empty. It has an index, so that the cost of another
	// change does not grow with the number of flags.
	folded *flags
}

func (p *userPatch) apply(e entity) {
	u := e.(*User)
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

func (p *userPatch) merge(later patch) {
	q := later.(*userPatch)
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
		// A user is created without flags, so a removal that waits matters only
		// for the flags that wait before it.
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

func (p *userPatch) size() int {
	f := flags{list: p.Flags}
	n := f.size() + textSize(p.Email, p.Tier, p.QuotaTierID, p.Name, p.DisplayName, p.AvatarURL)
	if p.folded != nil {
		n += p.folded.size()
	}
	return n
}

// teamPatch changes a team.
type teamPatch struct {
	At            events.Time
	Name, Slug    events.Optional[string]
	OwnerUserID   events.Optional[events.UUID]
	QuotaTierID   events.Optional[string]
	SoftDeletedAt events.Optional[events.Time]
}

func (p *teamPatch) apply(e entity) {
	t := e.(*Team)
	set(&t.Name, p.Name)
	set(&t.Slug, p.Slug)
	set(&t.OwnerUserID, p.OwnerUserID)
	set(&t.QuotaTierID, p.QuotaTierID)
	setPtr(&t.SoftDeletedAt, p.SoftDeletedAt)
	t.UpdatedAt = max(t.UpdatedAt, p.At)
}

func (p *teamPatch) merge(later patch) {
	q := later.(*teamPatch)
	override(&p.Name, q.Name)
	override(&p.Slug, q.Slug)
	override(&p.OwnerUserID, q.OwnerUserID)
	override(&p.QuotaTierID, q.QuotaTierID)
	override(&p.SoftDeletedAt, q.SoftDeletedAt)
	p.At = max(p.At, q.At)
}

func (p *teamPatch) size() int { return textSize(p.Name, p.Slug, p.QuotaTierID) }

// keyPatch changes an API key.
type keyPatch struct {
	Name, Scope events.Optional[string]
	ExpiresAt   events.Optional[events.Time]
	IsActive    events.Optional[bool]
	UsedAt      events.Optional[events.Time] // the latest
	RevokedAt   events.Optional[events.Time]
}

func (p *keyPatch) apply(e entity) {
	k := e.(*APIKey)
	set(&k.Name, p.Name)
	set(&k.Scope, p.Scope)
	set(&k.IsActive, p.IsActive)
	setPtr(&k.ExpiresAt, p.ExpiresAt)
	setPtr(&k.RevokedAt, p.RevokedAt)
	if p.UsedAt.Set && (k.LastUsedAt == nil || *k.LastUsedAt < p.UsedAt.Value) {
		setPtr(&k.LastUsedAt, p.UsedAt)
	}
}

func (p *keyPatch) merge(later patch) {
	q := later.(*keyPatch)
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

// sandboxPatch changes a sandbox.
type sandboxPatch struct {
	At                     events.Time
	Status                 events.Optional[string]
	Metadata               []byte // nil: unchanged
	StartedAt, DestroyedAt events.Optional[events.Time]
}

func (p *sandboxPatch) apply(e entity) {
	s := e.(*Sandbox)
	set(&s.Status, p.Status)
	if p.Metadata != nil {
		s.Metadata = p.Metadata
	}
	setPtr(&s.StartedAt, p.StartedAt)
	setPtr(&s.DestroyedAt, p.DestroyedAt)
	s.UpdatedAt = max(s.UpdatedAt, p.At)
}

func (p *sandboxPatch) merge(later patch) {
	q := later.(*sandboxPatch)
	override(&p.Status, q.Status)
	if q.Metadata != nil {
		p.Metadata = q.Metadata
	}
	override(&p.StartedAt, q.StartedAt)
	override(&p.DestroyedAt, q.DestroyedAt)
	p.At = max(p.At, q.At)
}

func (p *sandboxPatch) size() int { return textSize(p.Status) + len(p.Metadata) }
