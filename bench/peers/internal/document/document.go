// Package document folds the events of an account into its document.
package document

import (
	"encoding/json"
	"time"

	"accountexport/bench/peers/internal/event"
)

// Document is what an account's row of jsonb holds: the export without the quota tier,
// which accounts share.
type Document struct {
	User       *User     `json:"user"`
	Team       *Team     `json:"team"`
	QuotaUsage []Usage   `json:"quota_usage"`
	APIKeys    []APIKey  `json:"api_keys"`
	Sandboxes  []Sandbox `json:"sandboxes"`
}

// New is the document of an account that nothing is known of.
func New() *Document {
	return &Document{QuotaUsage: []Usage{}, APIKeys: []APIKey{}, Sandboxes: []Sandbox{}}
}

type User struct {
	ID                string                     `json:"id"`
	Email             string                     `json:"email"`
	Tier              string                     `json:"tier"`
	QuotaTierID       string                     `json:"quota_tier_id"`
	IsOperator        bool                       `json:"is_operator"`
	CreatedAt         time.Time                  `json:"created_at"`
	UpdatedAt         time.Time                  `json:"updated_at"`
	Name              *string                    `json:"name"`
	DisplayName       *string                    `json:"display_name"`
	AvatarURL         *string                    `json:"avatar_url"`
	EmailVerifiedAt   *time.Time                 `json:"email_verified_at"`
	SoftDeletedAt     *time.Time                 `json:"soft_deleted_at"`
	DeleteScheduledAt *time.Time                 `json:"delete_scheduled_at"`
	AbuseFlags        map[string]json.RawMessage `json:"abuse_flags"`
}

type Team struct {
	ID            string     `json:"id"`
	Name          *string    `json:"name"`
	Slug          *string    `json:"slug"`
	OwnerUserID   *string    `json:"owner_user_id"`
	QuotaTierID   string     `json:"quota_tier_id"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	SoftDeletedAt *time.Time `json:"soft_deleted_at"`
}

type Tier struct {
	ID                     string        `json:"id"`
	DisplayName            *string       `json:"display_name"`
	MaxConcurrentSandboxes int64         `json:"max_concurrent_sandboxes"`
	DailySandboxCreates    int64         `json:"daily_sandbox_creates"`
	DailyGBHours           event.Decimal `json:"daily_gb_hours"`
}

type Usage struct {
	TeamID         string        `json:"team_id"`
	UsageDate      string        `json:"usage_date"`
	SandboxCreates int64         `json:"sandbox_creates"`
	GBHours        event.Decimal `json:"gb_hours"`
	UpdatedAt      time.Time     `json:"updated_at"`
}

type APIKey struct {
	ID                  string     `json:"id"`
	UserID              string     `json:"user_id"`
	TeamID              string     `json:"team_id"`
	KeyPrefix           string     `json:"key_prefix"`
	Name                *string    `json:"name"`
	IsActive            bool       `json:"is_active"`
	CreatedAt           time.Time  `json:"created_at"`
	LastUsedAt          *time.Time `json:"last_used_at"`
	Scope               *string    `json:"scope"`
	RevokedAt           *time.Time `json:"revoked_at"`
	ExpiresAt           *time.Time `json:"expires_at"`
	RotationParentKeyID *string    `json:"rotation_parent_key_id"`
}

type Sandbox struct {
	ID          string          `json:"id"`
	Template    string          `json:"template"`
	Status      string          `json:"status"`
	Metadata    json.RawMessage `json:"metadata"`
	StartedAt   *time.Time      `json:"started_at"`
	DestroyedAt *time.Time      `json:"destroyed_at"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}
