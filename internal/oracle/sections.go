package oracle

import (
	"cmp"
	"slices"
)

// document writes the export of contract §4 of a complete account.
func (a *account) document(t tier) []byte {
	w := &writer{b: []byte("{")}
	w.raw("user", "{")
	a.writeUser(w)
	w.b = append(w.b, '}')
	w.raw("team", "{")
	a.team.write(w)
	w.b = append(w.b, '}')
	w.raw("quota_tier", "{")
	t.write(w)
	w.b = append(w.b, '}')
	days := slices.SortedFunc(slices.Values(a.usage), func(x, y *usageDay) int {
		return cmp.Or(cmp.Compare(x.date, y.date), cmp.Compare(x.team, y.team))
	})
	w.list("quota_usage", len(days), func(i int) { days[i].write(w) })
	w.list("api_keys", len(a.keys), func(i int) { a.keys[i].write(w, a.id) })
	w.list("sandboxes", len(a.sandboxes), func(i int) { a.sandboxes[i].write(w) })
	return append(w.b, '}')
}

func (a *account) writeUser(w *writer) {
	u := a.user
	w.text("id", a.id)
	w.text("email", u.email)
	w.text("tier", u.tier)
	w.text("quota_tier_id", u.quotaTier)
	w.boolean("is_operator", u.operator)
	w.time("created_at", u.created)
	w.time("updated_at", u.updated)
	w.textOrNull("name", u.name)
	w.textOrNull("display_name", u.displayName)
	w.textOrNull("avatar_url", u.avatarURL)
	w.timeOrNull("email_verified_at", u.emailVerified)
	w.timeOrNull("soft_deleted_at", u.softDeleted)
	w.timeOrNull("delete_scheduled_at", u.deleteAt)
	w.raw("abuse_flags", string((&value{kind: '{', members: u.flags}).compact(nil)))
}

func (t *team) write(w *writer) {
	w.text("id", t.id)
	w.text("name", t.name)
	w.text("slug", t.slug)
	w.text("owner_user_id", t.owner)
	w.text("quota_tier_id", t.quotaTier)
	w.time("created_at", t.created)
	w.time("updated_at", t.updated)
	w.timeOrNull("soft_deleted_at", t.softDeleted)
}

func (t tier) write(w *writer) {
	w.text("id", t.id)
	w.text("display_name", t.name)
	w.integer("max_concurrent_sandboxes", t.sandboxes)
	w.integer("daily_sandbox_creates", t.dailyCreates)
	w.decimal("daily_gb_hours", t.dailyGBHours)
}

func (d *usageDay) write(w *writer) {
	w.text("team_id", d.team)
	w.text("usage_date", d.date)
	w.integer("sandbox_creates", d.creates)
	w.decimal("gb_hours", d.gbHours)
	w.time("updated_at", d.updated)
}

func (k *apiKey) write(w *writer, userID string) {
	w.text("id", k.id)
	w.text("user_id", userID)
	w.text("team_id", k.team)
	w.text("key_prefix", k.prefix)
	w.text("name", k.name)
	w.boolean("is_active", k.active)
	w.time("created_at", k.created)
	w.timeOrNull("last_used_at", k.used)
	w.text("scope", k.scope)
	w.timeOrNull("revoked_at", k.revoked)
	w.timeOrNull("expires_at", k.expires)
	w.textOrNull("rotation_parent_key_id", k.parent)
}

func (s *sandbox) write(w *writer) {
	w.text("id", s.id)
	w.text("template", s.template)
	w.text("status", s.status)
	w.raw("metadata", string(s.metadata))
	w.timeOrNull("started_at", s.started)
	w.timeOrNull("destroyed_at", s.destroyed)
	w.time("created_at", s.created)
	w.time("updated_at", s.updated)
}
