package projections

import (
	"strconv"

	"accountexport/events"
)

// Team is the account's team, as in contract §4.
type Team struct {
	ID                   events.UUID
	Name, Slug           string
	OwnerUserID          events.UUID
	QuotaTierID          string
	CreatedAt, UpdatedAt events.Time
	SoftDeletedAt        *events.Time
}

func (t *Team) appendJSON(b []byte) []byte {
	b = appendUUID(append(b, `{"id":`...), t.ID)
	b = appendString(append(b, `,"name":`...), t.Name)
	b = appendString(append(b, `,"slug":`...), t.Slug)
	b = appendUUID(append(b, `,"owner_user_id":`...), t.OwnerUserID)
	b = appendString(append(b, `,"quota_tier_id":`...), t.QuotaTierID)
	b = appendTime(append(b, `,"created_at":`...), t.CreatedAt)
	b = appendTime(append(b, `,"updated_at":`...), t.UpdatedAt)
	b = appendTimePtr(append(b, `,"soft_deleted_at":`...), t.SoftDeletedAt)
	return append(b, '}')
}

func readTeam(b []byte) (*Team, error) {
	o := openObject(b)
	t := &Team{ID: o.uuid(), Name: o.str(), Slug: o.str(), OwnerUserID: o.uuid(), QuotaTierID: o.str(),
		CreatedAt: o.time(), UpdatedAt: o.time(), SoftDeletedAt: o.timePtr()}
	return t, o.err
}

// UsageDay is one team's usage on one day.
type UsageDay struct {
	TeamID         events.UUID
	UsageDate      events.Date
	SandboxCreates int64
	GBHours        events.Decimal
	UpdatedAt      events.Time
}

// usageKey is the key of a usage day. Keys sort as the export does: by day, then by team.
func usageKey(day events.Date, team events.UUID) string {
	return string(day) + "/" + team.String()
}

func (u *UsageDay) appendJSON(b []byte) []byte {
	b = appendUUID(append(b, `{"team_id":`...), u.TeamID)
	b = appendString(append(b, `,"usage_date":`...), string(u.UsageDate))
	b = strconv.AppendInt(append(b, `,"sandbox_creates":`...), u.SandboxCreates, 10)
	b = appendDecimal(append(b, `,"gb_hours":`...), u.GBHours)
	b = appendTime(append(b, `,"updated_at":`...), u.UpdatedAt)
	return append(b, '}')
}

func readUsageDay(b []byte) (entity, error) {
	o := openObject(b)
	u := &UsageDay{TeamID: o.uuid(), UsageDate: events.Date(o.str()), SandboxCreates: o.integer(),
		GBHours: o.decimal(), UpdatedAt: o.time()}
	return u, o.err
}

// usageItemKey reads the key of a stored usage day.
func usageItemKey(b []byte) (string, error) {
	o := openObject(b)
	team, day := o.str(), o.str()
	return day + "/" + team, o.err
}

// APIKey is one API key.
type APIKey struct {
	ID, UserID, TeamID  events.UUID
	KeyPrefix, Name     string
	IsActive            bool
	CreatedAt           events.Time
	LastUsedAt          *events.Time
	Scope               string
	RevokedAt           *events.Time
	ExpiresAt           *events.Time
	RotationParentKeyID *events.UUID
}

func (k *APIKey) appendJSON(b []byte) []byte {
	b = appendUUID(append(b, `{"id":`...), k.ID)
	b = appendUUID(append(b, `,"user_id":`...), k.UserID)
	b = appendUUID(append(b, `,"team_id":`...), k.TeamID)
	b = appendString(append(b, `,"key_prefix":`...), k.KeyPrefix)
	b = appendString(append(b, `,"name":`...), k.Name)
	b = strconv.AppendBool(append(b, `,"is_active":`...), k.IsActive)
	b = appendTime(append(b, `,"created_at":`...), k.CreatedAt)
	b = appendTimePtr(append(b, `,"last_used_at":`...), k.LastUsedAt)
	b = appendString(append(b, `,"scope":`...), k.Scope)
	b = appendTimePtr(append(b, `,"revoked_at":`...), k.RevokedAt)
	b = appendTimePtr(append(b, `,"expires_at":`...), k.ExpiresAt)
	b = appendUUIDPtr(append(b, `,"rotation_parent_key_id":`...), k.RotationParentKeyID)
	return append(b, '}')
}

func readAPIKey(b []byte) (entity, error) {
	o := openObject(b)
	k := &APIKey{ID: o.uuid(), UserID: o.uuid(), TeamID: o.uuid(), KeyPrefix: o.str(), Name: o.str(),
		IsActive: o.boolean(), CreatedAt: o.time(), LastUsedAt: o.timePtr(), Scope: o.str(),
		RevokedAt: o.timePtr(), ExpiresAt: o.timePtr(), RotationParentKeyID: o.uuidPtr()}
	return k, o.err
}

// Sandbox is one sandbox.
type Sandbox struct {
	ID, Template, Status   string
	Metadata               []byte // compact JSON object
	StartedAt, DestroyedAt *events.Time
	CreatedAt, UpdatedAt   events.Time
}

func (s *Sandbox) appendJSON(b []byte) []byte {
	b = appendString(append(b, `{"id":`...), s.ID)
	b = appendString(append(b, `,"template":`...), s.Template)
	b = appendString(append(b, `,"status":`...), s.Status)
	b = append(append(b, `,"metadata":`...), s.Metadata...)
	b = appendTimePtr(append(b, `,"started_at":`...), s.StartedAt)
	b = appendTimePtr(append(b, `,"destroyed_at":`...), s.DestroyedAt)
	b = appendTime(append(b, `,"created_at":`...), s.CreatedAt)
	b = appendTime(append(b, `,"updated_at":`...), s.UpdatedAt)
	return append(b, '}')
}

func readSandbox(b []byte) (entity, error) {
	o := openObject(b)
	s := &Sandbox{ID: o.str(), Template: o.str(), Status: o.str(), Metadata: append([]byte(nil), o.raw()...),
		StartedAt: o.timePtr(), DestroyedAt: o.timePtr(), CreatedAt: o.time(), UpdatedAt: o.time()}
	return s, o.err
}

// firstString reads the first member, which is the id of API keys and sandboxes.
func firstString(b []byte) (string, error) {
	o := openObject(b)
	return o.str(), o.err
}
