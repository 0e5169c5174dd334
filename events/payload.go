package events

// Payload is the typed data of one known event type: exactly one of the
// structs in this file. A pointer to the struct is what [Decode] puts into
// [Event.Data].
type Payload interface {
	// Type is the full CloudEvents type, for example
	// "controlplane.user.registered.v1".
	Type() string
}

// Optional is a field of a patch event: absent leaves the value as it is,
// null clears it, anything else sets it.
type Optional[T any] struct {
	Set   bool // the field is there, be it null
	Null  bool // the field is there and null; only where the contract says nullable
	Value T    // the value where Set and not Null
}

// Some returns a patch field that sets the value.
func Some[T any](v T) Optional[T] { return Optional[T]{Set: true, Value: v} }

// Clear returns a patch field that clears the value.
func Clear[T any]() Optional[T] { return Optional[T]{Set: true, Null: true} }

// Flag is one member of an abuse-flags object, in the order sent.
type Flag struct {
	Name  string // unescaped
	Value []byte // compact JSON, as sent but for white space; nil where the member is null (remove)
}

// User events.
type (
	UserRegistered struct {
		Email, Tier, QuotaTierID     string
		Name, DisplayName, AvatarURL *string
		IsOperator                   bool
	}
	UserProfileUpdated struct {
		Name, DisplayName, AvatarURL Optional[string] // all nullable
	}
	UserEmailChanged      struct{ Email string }
	UserEmailVerified     struct{}
	UserTierChanged       struct{ Tier, QuotaTierID string }
	UserOperatorChanged   struct{ IsOperator bool }
	UserAbuseFlagsChanged struct{ Flags []Flag }
	UserDeletionScheduled struct{ DeleteScheduledAt Time }
	UserDeletionCancelled struct{}
	UserSoftDeleted       struct{}
	UserRestored          struct{}
)

// Team events.
type (
	TeamCreated struct {
		ID                      UUID
		Name, Slug, QuotaTierID string
		OwnerUserID             *UUID // nil: the account id
	}
	TeamUpdated struct {
		ID         UUID
		Name, Slug Optional[string] // neither nullable
	}
	TeamOwnerChanged     struct{ ID, OwnerUserID UUID }
	TeamQuotaTierChanged struct {
		ID          UUID
		QuotaTierID string
	}
	TeamSoftDeleted struct{ ID UUID }
	TeamRestored    struct{ ID UUID }
)

// QuotaTierDefined defines or replaces a shared tier.
type QuotaTierDefined struct {
	ID, DisplayName        string
	MaxConcurrentSandboxes int64
	DailySandboxCreates    int64
	DailyGBHours           Decimal
}

// QuotaUsage is the data of both quota-usage events.
type QuotaUsage struct {
	TeamID         UUID
	UsageDate      Date
	SandboxCreates int64
	GBHours        Decimal
}

// Quota-usage events.
type (
	QuotaUsageRecorded    struct{ QuotaUsage }
	QuotaUsageIncremented struct{ QuotaUsage }
)

// API-key events.
type (
	APIKeyCreated struct {
		ID, TeamID             UUID
		KeyPrefix, Name, Scope string
		ExpiresAt              *Time
		RotationParentKeyID    *UUID
	}
	APIKeyUpdated struct {
		ID          UUID
		Name, Scope Optional[string] // not nullable
		ExpiresAt   Optional[Time]   // nullable
		IsActive    Optional[bool]   // not nullable
	}
	APIKeyUsed    struct{ ID UUID }
	APIKeyRevoked struct{ ID UUID }
)

// Sandbox events. Metadata is compact JSON, as sent but for white space.
type (
	SandboxCreated struct {
		ID, Template string
		Status       *string // nil: "pending"
		Metadata     []byte  // nil: {}
	}
	SandboxStarted         struct{ ID string }
	SandboxStatusChanged   struct{ ID, Status string }
	SandboxMetadataUpdated struct {
		ID       string
		Metadata []byte
	}
	SandboxDestroyed struct{ ID string }
)

// AccountErased removes everything of the account.
type AccountErased struct{}

// The known types, in full.
const (
	TypeUserRegistered         = "controlplane.user.registered.v1"
	TypeUserProfileUpdated     = "controlplane.user.profile_updated.v1"
	TypeUserEmailChanged       = "controlplane.user.email_changed.v1"
	TypeUserEmailVerified      = "controlplane.user.email_verified.v1"
	TypeUserTierChanged        = "controlplane.user.tier_changed.v1"
	TypeUserOperatorChanged    = "controlplane.user.operator_changed.v1"
	TypeUserAbuseFlagsChanged  = "controlplane.user.abuse_flags_changed.v1"
	TypeUserDeletionScheduled  = "controlplane.user.deletion_scheduled.v1"
	TypeUserDeletionCancelled  = "controlplane.user.deletion_cancelled.v1"
	TypeUserSoftDeleted        = "controlplane.user.soft_deleted.v1"
	TypeUserRestored           = "controlplane.user.restored.v1"
	TypeTeamCreated            = "controlplane.team.created.v1"
	TypeTeamUpdated            = "controlplane.team.updated.v1"
	TypeTeamOwnerChanged       = "controlplane.team.owner_changed.v1"
	TypeTeamQuotaTierChanged   = "controlplane.team.quota_tier_changed.v1"
	TypeTeamSoftDeleted        = "controlplane.team.soft_deleted.v1"
	TypeTeamRestored           = "controlplane.team.restored.v1"
	TypeQuotaTierDefined       = "controlplane.quota_tier.defined.v1"
	TypeQuotaUsageRecorded     = "controlplane.quota_usage.recorded.v1"
	TypeQuotaUsageIncremented  = "controlplane.quota_usage.incremented.v1"
	TypeAPIKeyCreated          = "controlplane.api_key.created.v1"
	TypeAPIKeyUpdated          = "controlplane.api_key.updated.v1"
	TypeAPIKeyUsed             = "controlplane.api_key.used.v1"
	TypeAPIKeyRevoked          = "controlplane.api_key.revoked.v1"
	TypeSandboxCreated         = "controlplane.sandbox.created.v1"
	TypeSandboxStarted         = "controlplane.sandbox.started.v1"
	TypeSandboxStatusChanged   = "controlplane.sandbox.status_changed.v1"
	TypeSandboxMetadataUpdated = "controlplane.sandbox.metadata_updated.v1"
	TypeSandboxDestroyed       = "controlplane.sandbox.destroyed.v1"
	TypeAccountErased          = "controlplane.account.erased.v1"
)

// Type implements [Payload].
func (*UserRegistered) Type() string         { return TypeUserRegistered }
func (*UserProfileUpdated) Type() string     { return TypeUserProfileUpdated }
func (*UserEmailChanged) Type() string       { return TypeUserEmailChanged }
func (*UserEmailVerified) Type() string      { return TypeUserEmailVerified }
func (*UserTierChanged) Type() string        { return TypeUserTierChanged }
func (*UserOperatorChanged) Type() string    { return TypeUserOperatorChanged }
func (*UserAbuseFlagsChanged) Type() string  { return TypeUserAbuseFlagsChanged }
func (*UserDeletionScheduled) Type() string  { return TypeUserDeletionScheduled }
func (*UserDeletionCancelled) Type() string  { return TypeUserDeletionCancelled }
func (*UserSoftDeleted) Type() string        { return TypeUserSoftDeleted }
func (*UserRestored) Type() string           { return TypeUserRestored }
func (*TeamCreated) Type() string            { return TypeTeamCreated }
func (*TeamUpdated) Type() string            { return TypeTeamUpdated }
func (*TeamOwnerChanged) Type() string       { return TypeTeamOwnerChanged }
func (*TeamQuotaTierChanged) Type() string   { return TypeTeamQuotaTierChanged }
func (*TeamSoftDeleted) Type() string        { return TypeTeamSoftDeleted }
func (*TeamRestored) Type() string           { return TypeTeamRestored }
func (*QuotaTierDefined) Type() string       { return TypeQuotaTierDefined }
func (*QuotaUsageRecorded) Type() string     { return TypeQuotaUsageRecorded }
func (*QuotaUsageIncremented) Type() string  { return TypeQuotaUsageIncremented }
func (*APIKeyCreated) Type() string          { return TypeAPIKeyCreated }
func (*APIKeyUpdated) Type() string          { return TypeAPIKeyUpdated }
func (*APIKeyUsed) Type() string             { return TypeAPIKeyUsed }
func (*APIKeyRevoked) Type() string          { return TypeAPIKeyRevoked }
func (*SandboxCreated) Type() string         { return TypeSandboxCreated }
func (*SandboxStarted) Type() string         { return TypeSandboxStarted }
func (*SandboxStatusChanged) Type() string   { return TypeSandboxStatusChanged }
func (*SandboxMetadataUpdated) Type() string { return TypeSandboxMetadataUpdated }
func (*SandboxDestroyed) Type() string       { return TypeSandboxDestroyed }
func (*AccountErased) Type() string          { return TypeAccountErased }
