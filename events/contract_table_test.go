package events_test

import "regexp"

// The contract's tables a second time, written without a look at the package:
// what the checks in recheck_test.go are driven by.

// rule says what one field of data must be.
type rule struct {
	kind  string // text, id, uuid, time, date, integer, decimal, boolean or object
	field need
}

type need int

const (
	required need = iota
	optional      // absent or null: none
	patched       // absent: as it was; never null
	nullable      // absent: as it was; null clears
)

// contractTable is contract §2, without "controlplane." in front.
func contractTable() map[string]map[string]rule {
	usage := map[string]rule{"team_id": {"uuid", required}, "usage_date": {"date", required},
		"sandbox_creates": {"integer", required}, "gb_hours": {"decimal", required}}
	uuid := map[string]rule{"id": {"uuid", required}}
	sandbox := map[string]rule{"id": {"id", required}}
	return map[string]map[string]rule{
		"user.registered.v1": {"email": {"text", required}, "tier": {"text", required}, "quota_tier_id": {"text", required},
			"name": {"text", optional}, "display_name": {"text", optional}, "avatar_url": {"text", optional},
			"is_operator": {"boolean", optional}},
		"user.profile_updated.v1":     {"name": {"text", nullable}, "display_name": {"text", nullable}, "avatar_url": {"text", nullable}},
		"user.email_changed.v1":       {"email": {"text", required}},
		"user.email_verified.v1":      {},
		"user.tier_changed.v1":        {"tier": {"text", required}, "quota_tier_id": {"text", required}},
		"user.operator_changed.v1":    {"is_operator": {"boolean", required}},
		"user.abuse_flags_changed.v1": {"flags": {"object", required}},
		"user.deletion_scheduled.v1":  {"delete_scheduled_at": {"time", required}},
		"user.deletion_cancelled.v1":  {},
		"user.soft_deleted.v1":        {},
		"user.restored.v1":            {},
		"team.created.v1": {"id": {"uuid", required}, "name": {"text", required}, "slug": {"text", required},
			"quota_tier_id": {"text", required}, "owner_user_id": {"uuid", optional}},
		"team.updated.v1":            {"id": {"uuid", required}, "name": {"text", patched}, "slug": {"text", patched}},
		"team.owner_changed.v1":      {"id": {"uuid", required}, "owner_user_id": {"uuid", required}},
		"team.quota_tier_changed.v1": {"id": {"uuid", required}, "quota_tier_id": {"text", required}},
		"team.soft_deleted.v1":       uuid,
		"team.restored.v1":           uuid,
		"quota_tier.defined.v1": {"id": {"text", required}, "display_name": {"text", required},
			"max_concurrent_sandboxes": {"integer", required}, "daily_sandbox_creates": {"integer", required},
			"daily_gb_hours": {"decimal", required}},
		"quota_usage.recorded.v1":    usage,
		"quota_usage.incremented.v1": usage,
		"api_key.created.v1": {"id": {"uuid", required}, "team_id": {"uuid", required}, "key_prefix": {"text", required},
			"name": {"text", required}, "scope": {"text", required}, "expires_at": {"time", optional},
			"rotation_parent_key_id": {"uuid", optional}},
		"api_key.updated.v1": {"id": {"uuid", required}, "name": {"text", patched}, "scope": {"text", patched},
			"expires_at": {"time", nullable}, "is_active": {"boolean", patched}},
		"api_key.used.v1":    uuid,
		"api_key.revoked.v1": uuid,
		"sandbox.created.v1": {"id": {"id", required}, "template": {"text", required}, "status": {"text", optional},
			"metadata": {"object", optional}},
		"sandbox.started.v1":          sandbox,
		"sandbox.status_changed.v1":   {"id": {"id", required}, "status": {"text", required}},
		"sandbox.metadata_updated.v1": {"id": {"id", required}, "metadata": {"object", required}},
		"sandbox.destroyed.v1":        sandbox,
		"account.erased.v1":           {},
	}
}

// patterns are the contract's values as regular expressions.
type patterns struct {
	account, tier, uuid, date, time, integer, decimal, media, escape *regexp.Regexp
}

func newPatterns() patterns {
	const uuid = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
	return patterns{
		account: regexp.MustCompile(`\Acontrolplane\.account\.(` + uuid + `)\z`),
		tier:    regexp.MustCompile(`\Acontrolplane\.quota_tier\.([A-Za-z0-9_-]{1,64})\z`),
		uuid:    regexp.MustCompile(`\A(?i:` + uuid + `)\z`),
		date:    regexp.MustCompile(`\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z`),
		time: regexp.MustCompile(`\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]+)?` +
			`(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])\z`),
		integer: regexp.MustCompile(`\A(0|[1-9][0-9]{0,15})\z`),
		decimal: regexp.MustCompile(`\A(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?\z`),
		media:   regexp.MustCompile(`\A` + token + `/(` + token + `\+)?[jJ][sS][oO][nN]\z`),
		escape:  regexp.MustCompile(`%[0-9a-fA-F]{2}`),
	}
}
