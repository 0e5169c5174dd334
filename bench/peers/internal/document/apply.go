package document

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"accountexport/bench/peers/internal/event"
)

// Apply changes the document as the event says. It fails, and changes nothing, where
// what the event is of is not there.
func (d *Document) Apply(e event.Event) error {
	kind, what, _ := strings.Cut(e.Type, ".")
	switch kind {
	case "user":
		return d.user(what, e)
	case "team":
		return d.team(what, e)
	case "quota_usage":
		return d.usage(what, e)
	case "api_key":
		return d.key(what, e)
	case "sandbox":
		return d.sandbox(what, e)
	case "account":
		if what == "erased.v1" {
			*d = *New()
		}
	}
	return nil // types that are not known are of a newer control plane
}

func (d *Document) user(what string, e event.Event) error {
	if what == "registered.v1" {
		if d.User == nil {
			d.User = &User{ID: e.Account, Email: e.Data.Email, Tier: e.Data.Tier, QuotaTierID: e.Data.QuotaTierID, IsOperator: e.Data.IsOperator,
				Name: e.Data.Name.Value, DisplayName: e.Data.DisplayName.Value, AvatarURL: e.Data.AvatarURL.Value,
				CreatedAt: e.At, UpdatedAt: e.At, AbuseFlags: map[string]json.RawMessage{}}
		}
		return nil
	}
	u := d.User
	if u == nil {
		return early(e)
	}
	switch what {
	case "profile_updated.v1":
		e.Data.Name.Apply(&u.Name)
		e.Data.DisplayName.Apply(&u.DisplayName)
		e.Data.AvatarURL.Apply(&u.AvatarURL)
	case "email_changed.v1":
		u.Email, u.EmailVerifiedAt = e.Data.Email, nil
	case "email_verified.v1":
		u.EmailVerifiedAt = &e.At
	case "tier_changed.v1":
		u.Tier, u.QuotaTierID = e.Data.Tier, e.Data.QuotaTierID
	case "operator_changed.v1":
		u.IsOperator = e.Data.IsOperator
	case "abuse_flags_changed.v1":
		maps.Copy(u.AbuseFlags, e.Data.Flags)
		maps.DeleteFunc(u.AbuseFlags, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	case "deletion_scheduled.v1":
		u.DeleteScheduledAt = utc(e.Data.DeleteScheduledAt)
	case "deletion_cancelled.v1":
		u.DeleteScheduledAt = nil
	case "soft_deleted.v1":
		u.SoftDeletedAt = &e.At
	case "restored.v1":
		u.SoftDeletedAt, u.DeleteScheduledAt = nil, nil
	default:
		return nil
	}
	u.UpdatedAt = later(u.UpdatedAt, e.At)
	return nil
}

func (d *Document) team(what string, e event.Event) error {
	if what == "created.v1" {
		if d.Team == nil {
			d.Team = &Team{ID: e.Data.ID, Name: e.Data.Name.Value, Slug: e.Data.Slug.Value, OwnerUserID: e.Data.OwnerUserID,
				QuotaTierID: e.Data.QuotaTierID, CreatedAt: e.At, UpdatedAt: e.At}
			if d.Team.OwnerUserID == nil {
				d.Team.OwnerUserID = &e.Account
			}
		}
		return nil
	}
	t := d.Team
	if t == nil {
		return early(e)
	}
	switch what {
	case "updated.v1":
		e.Data.Name.Apply(&t.Name)
		e.Data.Slug.Apply(&t.Slug)
	case "owner_changed.v1":
		t.OwnerUserID = e.Data.OwnerUserID
	case "quota_tier_changed.v1":
		t.QuotaTierID = e.Data.QuotaTierID
	case "soft_deleted.v1":
		t.SoftDeletedAt = &e.At
	case "restored.v1":
		t.SoftDeletedAt = nil
	default:
		return nil
	}
	t.UpdatedAt = later(t.UpdatedAt, e.At)
	return nil
}

func (d *Document) usage(what string, e event.Event) error {
	i, there := slices.BinarySearchFunc(d.QuotaUsage, e.Data.UsageDate+e.Data.TeamID, func(u Usage, key string) int {
		return strings.Compare(u.UsageDate+u.TeamID, key)
	})
	if !there {
		d.QuotaUsage = slices.Insert(d.QuotaUsage, i, Usage{TeamID: e.Data.TeamID, UsageDate: e.Data.UsageDate, UpdatedAt: e.At})
	}
	u := &d.QuotaUsage[i]
	switch what {
	case "recorded.v1":
		u.SandboxCreates, u.GBHours = e.Data.SandboxCreates, e.Data.GBHours
	case "incremented.v1":
		u.SandboxCreates += e.Data.SandboxCreates
		u.GBHours += e.Data.GBHours
	}
	u.UpdatedAt = later(u.UpdatedAt, e.At)
	return nil
}

func (d *Document) key(what string, e event.Event) error {
	i := slices.IndexFunc(d.APIKeys, func(k APIKey) bool { return k.ID == e.Data.ID })
	if what == "created.v1" {
		if i < 0 {
			d.APIKeys = append(d.APIKeys, APIKey{ID: e.Data.ID, UserID: e.Account, TeamID: e.Data.TeamID, KeyPrefix: e.Data.KeyPrefix,
				Name: e.Data.Name.Value, IsActive: true, CreatedAt: e.At, Scope: e.Data.Scope.Value, ExpiresAt: utc(e.Data.ExpiresAt.Value),
				RotationParentKeyID: e.Data.RotationParentKeyID})
		}
		return nil
	}
	if i < 0 {
		return early(e)
	}
	k := &d.APIKeys[i]
	switch what {
	case "updated.v1":
		e.Data.Name.Apply(&k.Name)
		e.Data.Scope.Apply(&k.Scope)
		e.Data.ExpiresAt.Apply(&k.ExpiresAt)
		if e.Data.IsActive != nil {
			k.IsActive = *e.Data.IsActive
		}
	case "used.v1":
		if k.LastUsedAt == nil || k.LastUsedAt.Before(e.At) {
			k.LastUsedAt = &e.At
		}
	case "revoked.v1":
		k.IsActive, k.RevokedAt = false, &e.At
	}
	return nil
}

func (d *Document) sandbox(what string, e event.Event) error {
	i := slices.IndexFunc(d.Sandboxes, func(s Sandbox) bool { return s.ID == e.Data.ID })
	if what == "created.v1" {
		if i < 0 {
			s := Sandbox{ID: e.Data.ID, Template: e.Data.Template, Status: "pending", Metadata: e.Data.Metadata, CreatedAt: e.At, UpdatedAt: e.At}
			if e.Data.Status != nil {
				s.Status = *e.Data.Status
			}
			if s.Metadata == nil {
				s.Metadata = json.RawMessage("{}")
			}
			d.Sandboxes = append(d.Sandboxes, s)
		}
		return nil
	}
	if i < 0 {
		return early(e)
	}
	s := &d.Sandboxes[i]
	switch what {
	case "started.v1":
		s.Status, s.StartedAt = "running", &e.At
	case "status_changed.v1":
		if e.Data.Status == nil {
			return fmt.Errorf("%s without a status", e.Type)
		}
		s.Status = *e.Data.Status
	case "metadata_updated.v1":
		s.Metadata = e.Data.Metadata
	case "destroyed.v1":
		s.Status, s.DestroyedAt = "destroyed", &e.At
	default:
		return nil
	}
	s.UpdatedAt = later(s.UpdatedAt, e.At)
	return nil
}

func early(e event.Event) error {
	return fmt.Errorf("%s: what it is of does not exist", e.Type)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}
