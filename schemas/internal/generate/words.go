package generate

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// words say what a type of event is and what it does (contract §2).
type words struct{ title, effect string }

// fieldWord says what a field means.
type fieldWord struct {
	text string
	is   fallback // of an optional field
}

// fallback is what an optional field is where it is not given: in words, and as
// JSON where that is a value of its own.
type fallback struct{ words, value string }

func (f fallback) json() jsontext.Value { return jsontext.Value(f.value) }

func eventWords() map[string]words {
	const waits = " Before the %s is there, the event waits for it."
	of := func(entity, title, effect string) words {
		return words{title, effect + strings.ReplaceAll(waits, "%s", entity)}
	}
	return map[string]words{
		"user.registered.v1": {"A user registered", "Creates the account's user, whose id is the account's; created_at and updated_at are the event's time. " +
			"A second one changes nothing."},
		"user.profile_updated.v1":     of("user", "A user changed their profile", "Sets or clears what is given of the user's profile."),
		"user.email_changed.v1":       of("user", "A user changed their e-mail address", "Sets the e-mail address, which is not verified then."),
		"user.email_verified.v1":      of("user", "A user verified their e-mail address", "Sets email_verified_at to the event's time."),
		"user.tier_changed.v1":        of("user", "A user moved to another plan", "Sets the user's plan and the quota tier that goes with it. The team's tier stays."),
		"user.operator_changed.v1":    of("user", "A user was made an operator, or is one no longer", "Sets is_operator."),
		"user.abuse_flags_changed.v1": of("user", "Abuse flags of a user were set or removed", "Sets each flag that is given, and removes those that are null. The others stay."),
		"user.deletion_scheduled.v1":  of("user", "The deletion of a user was planned", "Sets delete_scheduled_at. Nothing is deleted by that."),
		"user.deletion_cancelled.v1":  of("user", "The planned deletion of a user was cancelled", "Clears delete_scheduled_at."),
		"user.soft_deleted.v1":        of("user", "A user was deleted in a way that can be undone", "Sets soft_deleted_at to the event's time. The export is still there."),
		"user.restored.v1":            of("user", "The deletion of a user was undone", "Clears soft_deleted_at and delete_scheduled_at."),
		"team.created.v1": {"A team was created", "Creates the account's team, of which there is one; created_at and updated_at are the event's time. " +
			"A second one with the same id changes nothing, one with another id is parked."},
		"team.updated.v1":            of("team", "A team was renamed", "Sets what is given of the team's names."),
		"team.owner_changed.v1":      of("team", "A team has another owner", "Sets owner_user_id."),
		"team.quota_tier_changed.v1": of("team", "A team moved to another quota tier", "Sets the team's quota_tier_id. Until that tier is defined, the account has no export."),
		"team.soft_deleted.v1":       of("team", "A team was deleted in a way that can be undone", "Sets the team's soft_deleted_at to the event's time."),
		"team.restored.v1":           of("team", "The deletion of a team was undone", "Clears the team's soft_deleted_at."),
		"quota_tier.defined.v1":      {"A quota tier was defined", "Defines or replaces a quota tier, for all accounts whose team names it."},
		"quota_usage.recorded.v1":    {"The usage of a day was recorded", "Sets what a team used on a day, in place of what was there. It waits for no team."},
		"quota_usage.incremented.v1": {"The usage of a day grew", "Adds to what a team used on a day, from zero; sent twice, it counts twice. " +
			"A sum past the largest value parks the event. It waits for no team."},
		"api_key.created.v1": {"An API key was created", "Adds an API key of the account's user, which is active; created_at is the event's time. A second one with the same id changes nothing. " +
			"It waits for no team; once the account has one, a key for another is parked."},
		"api_key.updated.v1":          of("key", "An API key was changed", "Sets or clears what is given of the key."),
		"api_key.used.v1":             of("key", "An API key was used", "Sets last_used_at to the later of itself and the event's time."),
		"api_key.revoked.v1":          of("key", "An API key was revoked", "Sets revoked_at to the event's time; the key is not active any more."),
		"sandbox.created.v1":          {"A sandbox was created", "Adds a sandbox; created_at and updated_at are the event's time. A second one with the same id changes nothing."},
		"sandbox.started.v1":          of("sandbox", "A sandbox started", "Sets status to running and started_at to the event's time."),
		"sandbox.status_changed.v1":   of("sandbox", "A sandbox has another status", "Sets status."),
		"sandbox.metadata_updated.v1": of("sandbox", "The metadata of a sandbox was replaced", "Sets the whole metadata, in place of what was there."),
		"sandbox.destroyed.v1":        of("sandbox", "A sandbox ended", "Sets status to destroyed and destroyed_at to the event's time. The sandbox stays in the export."),
		"account.erased.v1":           {"An account was erased", "Removes everything of the account, for good. Whatever comes later for it is ignored."},
	}
}

// wordsOf finds the words of a type's field: those of this type alone come before
// those of its entity.
func wordsOf(short, field string) (fieldWord, bool) {
	w, ok := fieldWords()[wordsKey(short, field)]
	return w, ok
}

func wordsKey(short, field string) string {
	if _, ok := fieldWords()[short+" "+field]; ok {
		return short + " " + field
	}
	entity, _, _ := strings.Cut(short, ".")
	return entity + " " + field
}

func fieldWords() map[string]fieldWord {
	none := fallback{words: "null in the export"}
	is := func(text string) fieldWord { return fieldWord{text: text} }
	return map[string]fieldWord{
		"user email":               is("E-mail address, as it was given."),
		"user tier":                is("The plan that the user is on."),
		"user quota_tier_id":       is("Id of the quota tier that goes with the plan; the one that applies is the team's."),
		"user name":                {"Full name; it may be empty.", none},
		"user display_name":        {"The name that others see; it may be empty.", none},
		"user avatar_url":          {"Address of a picture, which need not be a URL; it may be empty.", none},
		"user is_operator":         {"Whether the user is one of the platform's operators.", fallback{"false", "false"}},
		"user delete_scheduled_at": is("When the user will be deleted: RFC 3339 with upper-case T and Z or an offset, read to the microsecond."),
		"user flags": is("Flags by name. A flag that is there keeps its place and has the new value, which is any JSON; one that is null is removed. " +
			"At most 65,536 bytes as sent."),

		"team id":            is("The team's id; upper case is read as lower case."),
		"team name":          is("The team's name."),
		"team slug":          is("The team's name in addresses."),
		"team quota_tier_id": is("Id of the quota tier that applies to the team."),
		"team owner_user_id": {"Id of the user who owns the team.", fallback{words: "the account's user"}},

		"quota_tier id":                       is("The tier's id, which is the last token of the subject."),
		"quota_tier display_name":             is("The tier's name."),
		"quota_tier max_concurrent_sandboxes": is("Most sandboxes at once: a number of sandboxes, written as digits only."),
		"quota_tier daily_sandbox_creates":    is("Most sandboxes that may be created in a day, UTC: a number of sandboxes, written as digits only."),
		"quota_tier daily_gb_hours": is("Most memory times time in a day, UTC, in gigabyte-hours: digits, then at most six after a point, " +
			"less than 1000000000000. It is kept exactly."),

		"quota_usage team_id":                        is("Id of the team that used it; any team's."),
		"quota_usage usage_date":                     is("The day, UTC: a day of the calendar, years 0001 to 9999."),
		"quota_usage sandbox_creates":                is("Sandboxes created on that day: a number of sandboxes, written as digits only."),
		"quota_usage gb_hours":                       is("Memory times time on that day, in gigabyte-hours: digits, then at most six after a point, less than 1000000000000. It is kept exactly."),
		"quota_usage.incremented.v1 sandbox_creates": is("Sandboxes created on that day beside those that are known: a number of sandboxes, written as digits only."),
		"quota_usage.incremented.v1 gb_hours": is("Memory times time on that day beside what is known, in gigabyte-hours: digits, then at most six after a point, " +
			"less than 1000000000000. It is added exactly."),

		"api_key id":                     is("The key's id; upper case is read as lower case."),
		"api_key team_id":                is("Id of the team that the key is for."),
		"api_key key_prefix":             is("The first characters of the key, by which its owner knows it. Never the whole key."),
		"api_key name":                   is("The key's name."),
		"api_key scope":                  is("What the key may be used for."),
		"api_key expires_at":             {"When the key ends by itself: RFC 3339 with upper-case T and Z or an offset, read to the microsecond.", none},
		"api_key is_active":              is("Whether the key may be used."),
		"api_key rotation_parent_key_id": {"Id of the key that this one takes the place of.", none},

		"sandbox id":                is("The sandbox's id, of at most 128 characters."),
		"sandbox template":          is("What the sandbox is made from."),
		"sandbox status":            is("Such as running, paused or error; an open set."),
		"sandbox.created.v1 status": {"Such as pending, running or error; an open set. It may be empty.", fallback{"pending", `"pending"`}},
		"sandbox metadata": {"As its user set it; values are any JSON, and are kept as they are spelled, white space between tokens aside. At most 65,536 bytes as sent.",
			fallback{"{}", "{}"}},
	}
}
