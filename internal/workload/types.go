package workload

// kind is what a field of an event's data may contain.
type kind int

const (
	text kind = iota
	boolean
	uuid
	integer
	decimal
	timestamp
	date
	object
	teamID
	keyID
	sandboxID
	tierID // the id of a quota tier, defined or not
)

// rule says whether a field may be missing or null.
type rule int

const (
	needed rule = iota
	optional
	patch
	nullablePatch
)

type field struct {
	name string
	kind kind
	rule rule
}

// eventType is a row of contract §2. weight is how often it is generated, relative to
// the others.
type eventType struct {
	name   string
	weight int
	fields []field
}

// accountTypes lists the event types of account subjects, except account.erased.
func accountTypes() []eventType {
	usage := []field{{"team_id", teamID, needed}, {"usage_date", date, needed},
		{"sandbox_creates", integer, needed}, {"gb_hours", decimal, needed}}
	key := field{"id", keyID, needed}
	team := field{"id", teamID, needed}
	sandbox := field{"id", sandboxID, needed}
	return []eventType{
		registered(), teamCreated(),
		{"user.profile_updated.v1", 8, []field{{"name", text, nullablePatch},
			{"display_name", text, nullablePatch}, {"avatar_url", text, nullablePatch}}},
		{"user.email_changed.v1", 4, []field{{"email", text, needed}}},
		{"user.email_verified.v1", 4, nil},
		{"user.tier_changed.v1", 4, []field{{"tier", text, needed}, {"quota_tier_id", tierID, needed}}},
		{"user.operator_changed.v1", 3, []field{{"is_operator", boolean, needed}}},
		{"user.abuse_flags_changed.v1", 10, []field{{"flags", object, needed}}},
		{"user.deletion_scheduled.v1", 3, []field{{"delete_scheduled_at", timestamp, needed}}},
		{"user.deletion_cancelled.v1", 3, nil},
		{"user.soft_deleted.v1", 3, nil},
		{"user.restored.v1", 3, nil},
		{"team.updated.v1", 6, []field{team, {"name", text, patch}, {"slug", text, patch}}},
		{"team.owner_changed.v1", 4, []field{team, {"owner_user_id", uuid, needed}}},
		{"team.quota_tier_changed.v1", 5, []field{team, {"quota_tier_id", tierID, needed}}},
		{"team.soft_deleted.v1", 3, []field{team}},
		{"team.restored.v1", 3, []field{team}},
		{"quota_usage.recorded.v1", 10, usage},
		{"quota_usage.incremented.v1", 20, usage},
		{"api_key.created.v1", 8, []field{key, {"team_id", teamID, needed}, {"key_prefix", text, needed},
			{"name", text, needed}, {"scope", text, needed}, {"expires_at", timestamp, optional},
			{"rotation_parent_key_id", uuid, optional}}},
		{"api_key.updated.v1", 8, []field{key, {"name", text, patch}, {"scope", text, patch},
			{"expires_at", timestamp, nullablePatch}, {"is_active", boolean, patch}}},
		{"api_key.used.v1", 8, []field{key}},
		{"api_key.revoked.v1", 4, []field{key}},
		{"sandbox.created.v1", 12, []field{sandbox, {"template", text, needed},
			{"status", text, optional}, {"metadata", object, optional}}},
		{"sandbox.started.v1", 10, []field{sandbox}},
		{"sandbox.status_changed.v1", 10, []field{sandbox, {"status", text, needed}}},
		{"sandbox.metadata_updated.v1", 10, []field{sandbox, {"metadata", object, needed}}},
		{"sandbox.destroyed.v1", 8, []field{sandbox}},
	}
}

func registered() eventType {
	return eventType{"user.registered.v1", 2, []field{{"email", text, needed}, {"tier", text, needed},
		{"quota_tier_id", tierID, needed}, {"name", text, optional}, {"display_name", text, optional},
		{"avatar_url", text, optional}, {"is_operator", boolean, optional}}}
}

func teamCreated() eventType {
	return eventType{"team.created.v1", 2, []field{{"id", teamID, needed}, {"name", text, needed},
		{"slug", text, needed}, {"quota_tier_id", tierID, needed}, {"owner_user_id", uuid, optional}}}
}

func tierDefined() eventType {
	return eventType{"quota_tier.defined.v1", 1, []field{{"id", text, needed}, {"display_name", text, needed},
		{"max_concurrent_sandboxes", integer, needed}, {"daily_sandbox_creates", integer, needed},
		{"daily_gb_hours", decimal, needed}}}
}

func erased() eventType { return eventType{"account.erased.v1", 1, nil} }
