package oracle

import "strings"

// field is one field of an event's data.
type field struct {
	name string
	kind fieldKind
	rule fieldRule
}

type fieldKind int

const (
	textField      fieldKind = iota
	sandboxIDField           // a text of at most 128 characters
	uuidField
	integerField
	decimalField
	timeField
	dateField
	booleanField
	objectField
)

type fieldRule int

const (
	needed        fieldRule = iota // absent or null is invalid
	optional                       // null is absent; a text may be empty
	patch                          // absent leaves, null is invalid
	nullablePatch                  // absent leaves, null clears; a text may be empty
)

const typePrefix = "controlplane."

// eventTypes is the table of contract §2, keyed without the prefix.
func eventTypes() map[string][]field {
	id := field{"id", uuidField, needed}
	sandboxID := field{"id", sandboxIDField, needed}
	text := func(names ...string) (f []field) {
		for _, n := range names {
			f = append(f, field{n, textField, needed})
		}
		return f
	}
	usage := []field{{"team_id", uuidField, needed}, {"usage_date", dateField, needed},
		{"sandbox_creates", integerField, needed}, {"gb_hours", decimalField, needed}}
	return map[string][]field{
		"user.registered.v1": append(text("email", "tier", "quota_tier_id"),
			field{"name", textField, optional}, field{"display_name", textField, optional},
			field{"avatar_url", textField, optional}, field{"is_operator", booleanField, optional}),
		"user.profile_updated.v1": {{"name", textField, nullablePatch},
			{"display_name", textField, nullablePatch}, {"avatar_url", textField, nullablePatch}},
		"user.email_changed.v1":       text("email"),
		"user.email_verified.v1":      nil,
		"user.tier_changed.v1":        text("tier", "quota_tier_id"),
		"user.operator_changed.v1":    {{"is_operator", booleanField, needed}},
		"user.abuse_flags_changed.v1": {{"flags", objectField, needed}},
		"user.deletion_scheduled.v1":  {{"delete_scheduled_at", timeField, needed}},
		"user.deletion_cancelled.v1":  nil,
		"user.soft_deleted.v1":        nil,
		"user.restored.v1":            nil,

		"team.created.v1": append(text("name", "slug", "quota_tier_id"), id,
			field{"owner_user_id", uuidField, optional}),
		"team.updated.v1":            {id, {"name", textField, patch}, {"slug", textField, patch}},
		"team.owner_changed.v1":      {id, {"owner_user_id", uuidField, needed}},
		"team.quota_tier_changed.v1": {id, {"quota_tier_id", textField, needed}},
		"team.soft_deleted.v1":       {id},
		"team.restored.v1":           {id},

		"quota_tier.defined.v1": append(text("id", "display_name"),
			field{"max_concurrent_sandboxes", integerField, needed},
			field{"daily_sandbox_creates", integerField, needed},
			field{"daily_gb_hours", decimalField, needed}),
		"quota_usage.recorded.v1":    usage,
		"quota_usage.incremented.v1": usage,

		"api_key.created.v1": append(text("key_prefix", "name", "scope"), id,
			field{"team_id", uuidField, needed}, field{"expires_at", timeField, optional},
			field{"rotation_parent_key_id", uuidField, optional}),
		"api_key.updated.v1": {id, {"name", textField, patch}, {"scope", textField, patch},
			{"expires_at", timeField, nullablePatch}, {"is_active", booleanField, patch}},
		"api_key.used.v1":    {id},
		"api_key.revoked.v1": {id},

		"sandbox.created.v1": {sandboxID, {"template", textField, needed},
			{"status", textField, optional}, {"metadata", objectField, optional}},
		"sandbox.started.v1":          {sandboxID},
		"sandbox.status_changed.v1":   {sandboxID, {"status", textField, needed}},
		"sandbox.metadata_updated.v1": {sandboxID, {"metadata", objectField, needed}},
		"sandbox.destroyed.v1":        {sandboxID},

		"account.erased.v1": nil,
	}
}

// values holds an event's fields by name. An absent field has no entry; a
// field cleared by null has the entry nil. Otherwise a text, UUID or date is a
// string, an integer, decimal (millionths) or time (microseconds) an int64, a
// boolean a bool and an object a *value.
type values map[string]any

func (p patterns) readFields(data *value, fields []field) (values, string) {
	out := values{}
	for _, f := range fields {
		v := data.get(f.name)
		if v == nil || v.kind == 'n' {
			switch {
			case f.rule == needed:
				return nil, f.name + ": missing"
			case f.rule == patch && v != nil:
				return nil, f.name + ": null"
			case f.rule == nullablePatch && v != nil:
				out[f.name] = nil
			}
			continue
		}
		got, problem := p.readField(v, f)
		if problem != "" {
			return nil, f.name + ": " + problem
		}
		out[f.name] = got
	}
	return out, ""
}

func (p patterns) readField(v *value, f field) (any, string) {
	switch f.kind {
	case textField:
		minimum := 1
		if f.rule == optional || f.rule == nullablePatch {
			minimum = 0
		}
		return readText(v, minimum, 1024)
	case sandboxIDField:
		return readText(v, 1, 128)
	case uuidField:
		return p.readUUID(v)
	case integerField:
		return p.readInteger(v)
	case decimalField:
		return p.readDecimal(v)
	case timeField:
		if v.kind != '"' {
			return nil, "not a time"
		}
		return p.readTime(v.text)
	case dateField:
		return p.readDate(v)
	case booleanField:
		if v.kind != 't' && v.kind != 'f' {
			return nil, "not a boolean"
		}
		return v.kind == 't', ""
	default:
		return readObject(v)
	}
}

// entity is the first part of a type's name: what the event is about.
func entity(typ string) string {
	name, _, _ := strings.Cut(typ, ".")
	return name
}
