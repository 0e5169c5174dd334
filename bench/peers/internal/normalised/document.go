package normalised

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// document has its members' fields in the order of the queries' columns.
type document struct {
	User       user      `json:"user"`
	Team       team      `json:"team"`
	QuotaTier  tier      `json:"quota_tier"`
	QuotaUsage []day     `json:"quota_usage"`
	APIKeys    []apiKey  `json:"api_keys"`
	Sandboxes  []sandbox `json:"sandboxes"`
}

type user struct {
	ID                pgtype.UUID     `json:"id"`
	Email             string          `json:"email"`
	Tier              string          `json:"tier"`
	QuotaTierID       string          `json:"quota_tier_id"`
	IsOperator        bool            `json:"is_operator"`
	CreatedAt         time.Time       `json:"created_at"`
	UpdatedAt         time.Time       `json:"updated_at"`
	Name              *string         `json:"name"`
	DisplayName       *string         `json:"display_name"`
	AvatarURL         *string         `json:"avatar_url"`
	EmailVerifiedAt   *time.Time      `json:"email_verified_at"`
	SoftDeletedAt     *time.Time      `json:"soft_deleted_at"`
	DeleteScheduledAt *time.Time      `json:"delete_scheduled_at"`
	AbuseFlags        json.RawMessage `json:"abuse_flags"`
}

type team struct {
	ID            pgtype.UUID `json:"id"`
	Name          string      `json:"name"`
	Slug          string      `json:"slug"`
	OwnerUserID   pgtype.UUID `json:"owner_user_id"`
	QuotaTierID   string      `json:"quota_tier_id"`
	CreatedAt     time.Time   `json:"created_at"`
	UpdatedAt     time.Time   `json:"updated_at"`
	SoftDeletedAt *time.Time  `json:"soft_deleted_at"`
}

type tier struct {
	ID                     string         `json:"id"`
	DisplayName            string         `json:"display_name"`
	MaxConcurrentSandboxes int64          `json:"max_concurrent_sandboxes"`
	DailySandboxCreates    int64          `json:"daily_sandbox_creates"`
	DailyGBHours           pgtype.Numeric `json:"daily_gb_hours"`
}

type day struct {
	TeamID         pgtype.UUID    `json:"team_id"`
	UsageDate      pgtype.Date    `json:"usage_date"`
	SandboxCreates int64          `json:"sandbox_creates"`
	GBHours        pgtype.Numeric `json:"gb_hours"`
	UpdatedAt      time.Time      `json:"updated_at"`
}

type apiKey struct {
	ID                  pgtype.UUID `json:"id"`
	UserID              pgtype.UUID `json:"user_id"`
	TeamID              pgtype.UUID `json:"team_id"`
	KeyPrefix           string      `json:"key_prefix"`
	Name                string      `json:"name"`
	IsActive            bool        `json:"is_active"`
	CreatedAt           time.Time   `json:"created_at"`
	LastUsedAt          *time.Time  `json:"last_used_at"`
	Scope               string      `json:"scope"`
	RevokedAt           *time.Time  `json:"revoked_at"`
	ExpiresAt           *time.Time  `json:"expires_at"`
	RotationParentKeyID pgtype.UUID `json:"rotation_parent_key_id"`
}

type sandbox struct {
	ID          string          `json:"id"`
	Template    string          `json:"template"`
	Status      string          `json:"status"`
	Metadata    json.RawMessage `json:"metadata"`
	StartedAt   *time.Time      `json:"started_at"`
	DestroyedAt *time.Time      `json:"destroyed_at"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}
