package normalised

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"accountexport/bench/peers/internal/event"
)

// changes are the statements of the types that change a row that exists: those of an
// account have its id as $1, and the time as $2.
var changes = map[string]struct {
	sql  string
	args func(d event.Data) []any
}{
	"user.profile_updated.v1": {`UPDATE users SET name = CASE WHEN $3 THEN $4 ELSE name END, display_name = CASE WHEN $5 THEN $6 ELSE display_name END,
avatar_url = CASE WHEN $7 THEN $8 ELSE avatar_url END, updated_at = greatest(updated_at, $2) WHERE account_id = $1`, func(d event.Data) []any {
		return []any{d.Name.Given, d.Name.Value, d.DisplayName.Given, d.DisplayName.Value, d.AvatarURL.Given, d.AvatarURL.Value}
	}},
	"user.email_changed.v1": {`UPDATE users SET email = $3, email_verified_at = NULL, updated_at = greatest(updated_at, $2) WHERE account_id = $1`,
		func(d event.Data) []any { return []any{d.Email} }},
	"user.email_verified.v1": {`UPDATE users SET email_verified_at = $2, updated_at = greatest(updated_at, $2) WHERE account_id = $1`, none},
	"user.tier_changed.v1": {`UPDATE users SET tier = $3, quota_tier_id = $4, updated_at = greatest(updated_at, $2) WHERE account_id = $1`,
		func(d event.Data) []any { return []any{d.Tier, d.QuotaTierID} }},
	"user.operator_changed.v1": {`UPDATE users SET is_operator = $3, updated_at = greatest(updated_at, $2) WHERE account_id = $1`,
		func(d event.Data) []any { return []any{d.IsOperator} }},
	"user.abuse_flags_changed.v1": {`UPDATE users SET abuse_flags = (abuse_flags || $3) - ARRAY(SELECT key FROM jsonb_each($3) WHERE value = 'null'), updated_at = greatest(updated_at, $2) WHERE account_id = $1`,
		func(d event.Data) []any { return []any{d.Flags} }},
	"user.deletion_scheduled.v1": {`UPDATE users SET delete_scheduled_at = $3, updated_at = greatest(updated_at, $2) WHERE account_id = $1`,
		func(d event.Data) []any { return []any{d.DeleteScheduledAt} }},
	"user.deletion_cancelled.v1": {`UPDATE users SET delete_scheduled_at = NULL, updated_at = greatest(updated_at, $2) WHERE account_id = $1`, none},
	"user.soft_deleted.v1":       {`UPDATE users SET soft_deleted_at = $2, updated_at = greatest(updated_at, $2) WHERE account_id = $1`, none},
	"user.restored.v1": {`UPDATE users SET soft_deleted_at = NULL, delete_scheduled_at = NULL, updated_at = greatest(updated_at, $2)
WHERE account_id = $1`, none},

	"team.updated.v1": {`UPDATE teams SET name = coalesce($3, name), slug = coalesce($4, slug), updated_at = greatest(updated_at, $2) WHERE account_id = $1`,
		func(d event.Data) []any { return []any{d.Name.Value, d.Slug.Value} }},
	"team.owner_changed.v1": {`UPDATE teams SET owner_user_id = $3, updated_at = greatest(updated_at, $2) WHERE account_id = $1`,
		func(d event.Data) []any { return []any{d.OwnerUserID} }},
	"team.quota_tier_changed.v1": {`UPDATE teams SET quota_tier_id = $3, updated_at = greatest(updated_at, $2) WHERE account_id = $1`,
		func(d event.Data) []any { return []any{d.QuotaTierID} }},
	"team.soft_deleted.v1": {`UPDATE teams SET soft_deleted_at = $2, updated_at = greatest(updated_at, $2) WHERE account_id = $1`, none},
	"team.restored.v1":     {`UPDATE teams SET soft_deleted_at = NULL, updated_at = greatest(updated_at, $2) WHERE account_id = $1`, none},

	"api_key.updated.v1": {`UPDATE api_keys SET name = coalesce($4, name), scope = coalesce($5, scope), is_active = coalesce($6, is_active),
expires_at = CASE WHEN $7 THEN $8 ELSE expires_at END WHERE account_id = $1 AND id = $3 AND $2::timestamptz IS NOT NULL`, func(d event.Data) []any {
		return []any{d.ID, d.Name.Value, d.Scope.Value, d.IsActive, d.ExpiresAt.Given, d.ExpiresAt.Value}
	}},
	"api_key.used.v1":    {`UPDATE api_keys SET last_used_at = greatest(last_used_at, $2) WHERE account_id = $1 AND id = $3`, id},
	"api_key.revoked.v1": {`UPDATE api_keys SET is_active = false, revoked_at = $2 WHERE account_id = $1 AND id = $3`, id},

	"sandbox.started.v1": {`UPDATE sandboxes SET status = 'running', started_at = $2, updated_at = greatest(updated_at, $2) WHERE account_id = $1 AND id = $3`, id},
	"sandbox.status_changed.v1": {`UPDATE sandboxes SET status = $4, updated_at = greatest(updated_at, $2) WHERE account_id = $1 AND id = $3`,
		func(d event.Data) []any { return []any{d.ID, d.Status} }},
	"sandbox.metadata_updated.v1": {`UPDATE sandboxes SET metadata = $4, updated_at = greatest(updated_at, $2) WHERE account_id = $1 AND id = $3`,
		func(d event.Data) []any { return []any{d.ID, d.Metadata} }},
	"sandbox.destroyed.v1": {`UPDATE sandboxes SET status = 'destroyed', destroyed_at = $2, updated_at = greatest(updated_at, $2) WHERE account_id = $1 AND id = $3`, id},
}

func none(event.Data) []any { return nil }
func id(d event.Data) []any { return []any{d.ID} }

// Queue adds the event's statement to a batch; added is whether it has one. A change
// that then affects no row is of something that does not exist.
func Queue(b *pgx.Batch, e event.Event) (added bool, err error) {
	d := e.Data
	if c, ok := changes[e.Type]; ok {
		if e.Type == "sandbox.status_changed.v1" && d.Status == nil {
			return false, errors.New("a status change without a status")
		}
		b.Queue(c.sql, append([]any{e.Account, e.At}, c.args(d)...)...)
		return true, nil
	}
	switch e.Type {
	case "user.registered.v1":
		b.Queue(`INSERT INTO users (account_id, email, tier, quota_tier_id, is_operator, created_at, updated_at, name, display_name, avatar_url)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9) ON CONFLICT DO NOTHING`, e.Account, d.Email, d.Tier, d.QuotaTierID, d.IsOperator, e.At,
			d.Name.Value, d.DisplayName.Value, d.AvatarURL.Value)
	case "team.created.v1":
		b.Queue(`INSERT INTO teams VALUES ($1::uuid, $2, $3, $4, coalesce($5::uuid, $1::uuid), $6, $7, $7) ON CONFLICT DO NOTHING`,
			e.Account, d.ID, d.Name.Value, d.Slug.Value, d.OwnerUserID, d.QuotaTierID, e.At)
	case "quota_tier.defined.v1":
		b.Queue(`INSERT INTO tiers VALUES ($1, $2, $3, $4, $5::text::numeric) ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name,
max_concurrent_sandboxes = excluded.max_concurrent_sandboxes, daily_sandbox_creates = excluded.daily_sandbox_creates, daily_gb_hours = excluded.daily_gb_hours`,
			e.Tier, d.DisplayName.Value, d.MaxConcurrentSandboxes, d.DailySandboxCreates, d.DailyGBHours.String())
	case "quota_usage.recorded.v1", "quota_usage.incremented.v1":
		set := `sandbox_creates = excluded.sandbox_creates, gb_hours = excluded.gb_hours`
		if strings.HasSuffix(e.Type, ".incremented.v1") {
			set = `sandbox_creates = usage.sandbox_creates + excluded.sandbox_creates, gb_hours = usage.gb_hours + excluded.gb_hours`
		}
		b.Queue(`INSERT INTO usage VALUES ($1, $2::text::date, $3, $4, $5::text::numeric, $6) ON CONFLICT (account_id, usage_date, team_id) DO UPDATE SET `+set+
			`, updated_at = greatest(usage.updated_at, excluded.updated_at)`, e.Account, d.UsageDate, d.TeamID, d.SandboxCreates, d.GBHours.String(), e.At)
	case "api_key.created.v1":
		b.Queue(`INSERT INTO api_keys (account_id, id, position, team_id, key_prefix, name, is_active, created_at, scope, expires_at, rotation_parent_key_id)
VALUES ($1, $2, $3, $4, $5, $6, true, $7, $8, $9, $10) ON CONFLICT DO NOTHING`, e.Account, d.ID, e.Position, d.TeamID, d.KeyPrefix, d.Name.Value, e.At,
			d.Scope.Value, d.ExpiresAt.Value, d.RotationParentKeyID)
	case "sandbox.created.v1":
		metadata := d.Metadata
		if metadata == nil {
			metadata = json.RawMessage("{}")
		}
		b.Queue(`INSERT INTO sandboxes (account_id, id, position, template, status, metadata, created_at, updated_at)
VALUES ($1, $2, $3, $4, coalesce($5, 'pending'), $6, $7, $7) ON CONFLICT DO NOTHING`, e.Account, d.ID, e.Position, d.Template, d.Status, metadata, e.At)
	case "account.erased.v1":
		b.Queue(`WITH u AS (DELETE FROM users WHERE account_id = $1), t AS (DELETE FROM teams WHERE account_id = $1),
q AS (DELETE FROM usage WHERE account_id = $1), k AS (DELETE FROM api_keys WHERE account_id = $1) DELETE FROM sandboxes WHERE account_id = $1`, e.Account)
	default:
		return false, nil
	}
	return true, nil
}

// MustChange reports whether a statement of the type that affects no row has failed.
func MustChange(eventType string) bool { _, ok := changes[eventType]; return ok }
