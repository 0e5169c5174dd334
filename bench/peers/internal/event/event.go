// Package event reads the control plane's events as they are stored.
package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event is one event of an account, or of a quota tier.
type Event struct {
	Account  string // empty for a tier's
	Tier     string
	Position uint64
	Type     string // without controlplane. in front
	At       time.Time
	Data     Data
}

// Data has the fields of all types. Which of them a type has is in the contract.
type Data struct {
	ID                     string                     `json:"id"`
	Email                  string                     `json:"email"`
	Tier                   string                     `json:"tier"`
	QuotaTierID            string                     `json:"quota_tier_id"`
	Name                   Patch[string]              `json:"name"`
	DisplayName            Patch[string]              `json:"display_name"`
	AvatarURL              Patch[string]              `json:"avatar_url"`
	IsOperator             bool                       `json:"is_operator"`
	Flags                  map[string]json.RawMessage `json:"flags"`
	DeleteScheduledAt      *time.Time                 `json:"delete_scheduled_at"`
	Slug                   Patch[string]              `json:"slug"`
	OwnerUserID            *string                    `json:"owner_user_id"`
	MaxConcurrentSandboxes int64                      `json:"max_concurrent_sandboxes"`
	DailySandboxCreates    int64                      `json:"daily_sandbox_creates"`
	DailyGBHours           Decimal                    `json:"daily_gb_hours"`
	TeamID                 string                     `json:"team_id"`
	UsageDate              string                     `json:"usage_date"`
	SandboxCreates         int64                      `json:"sandbox_creates"`
	GBHours                Decimal                    `json:"gb_hours"`
	KeyPrefix              string                     `json:"key_prefix"`
	Scope                  Patch[string]              `json:"scope"`
	ExpiresAt              Patch[time.Time]           `json:"expires_at"`
	RotationParentKeyID    *string                    `json:"rotation_parent_key_id"`
	IsActive               *bool                      `json:"is_active"`
	Template               string                     `json:"template"`
	Status                 *string                    `json:"status"`
	Metadata               json.RawMessage            `json:"metadata"`
}

// Patch is a field that a patch event may leave out, or clear.
type Patch[T any] struct {
	Given bool
	Value *T // nil: clear it
}

// UnmarshalJSON is called for null, too, and not where the field is absent.
func (p *Patch[T]) UnmarshalJSON(b []byte) error {
	p.Given = true
	return json.Unmarshal(b, &p.Value)
}

// Apply changes what the patch is of.
func (p Patch[T]) Apply(to **T) {
	if p.Given {
		*to = p.Value
	}
}

// Parse reads a message of the stream.
func Parse(subject string, data []byte, position uint64) (Event, error) {
	e := Event{Position: position}
	token := strings.Split(subject, ".")
	if len(token) < 2 {
		return e, fmt.Errorf("subject %q is no account's and no tier's", subject)
	}
	switch last := token[len(token)-1]; token[len(token)-2] {
	case "account":
		e.Account = last
	case "quota_tier":
		e.Tier = last
	default:
		return e, fmt.Errorf("subject %q is no account's and no tier's", subject)
	}
	var envelope struct {
		Type string    `json:"type"`
		Time time.Time `json:"time"`
		Data Data      `json:"data"`
	}
	if err := json.Unmarshal(data, &envelope); err != nil {
		return e, err
	}
	e.Type, e.Data = strings.TrimPrefix(envelope.Type, "controlplane."), envelope.Data
	e.At = envelope.Time.Truncate(time.Microsecond).UTC()
	return e, nil
}
