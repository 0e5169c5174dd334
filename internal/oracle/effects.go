package oracle

import "slices"

// create creates the entity of a created or registered event.
func (a *account) create(e event) {
	switch e.typ {
	case "user.registered.v1":
		a.user = &user{email: e.text("email"), tier: e.text("tier"), quotaTier: e.text("quota_tier_id"),
			operator: e.boolean("is_operator"), created: e.at, updated: e.at, name: e.textOrNil("name"),
			displayName: e.textOrNil("display_name"), avatarURL: e.textOrNil("avatar_url")}
	case "team.created.v1":
		owner := a.id
		if e.has("owner_user_id") {
			owner = e.text("owner_user_id")
		}
		a.team = &team{id: e.text("id"), name: e.text("name"), slug: e.text("slug"), owner: owner,
			quotaTier: e.text("quota_tier_id"), created: e.at, updated: e.at}
	case "api_key.created.v1":
		a.keys = append(a.keys, &apiKey{id: e.text("id"), team: e.text("team_id"), prefix: e.text("key_prefix"),
			name: e.text("name"), scope: e.text("scope"), active: true, created: e.at,
			expires: e.timeOrNil("expires_at"), parent: e.textOrNil("rotation_parent_key_id")})
	case "sandbox.created.v1":
		s := &sandbox{id: e.text("id"), template: e.text("template"), status: "pending",
			metadata: []byte("{}"), created: e.at, updated: e.at}
		if e.has("status") {
			s.status = e.text("status")
		}
		if e.has("metadata") {
			s.metadata = e.object("metadata").compact(nil)
		}
		a.sandboxes = append(a.sandboxes, s)
	}
}

// change applies any other event to an existing entity.
func (a *account) change(e event) {
	switch entity(e.typ) {
	case "user":
		a.user.updated = max(a.user.updated, e.at)
		a.user.change(e)
	case "team":
		a.team.updated = max(a.team.updated, e.at)
		a.team.change(e)
	case "api_key":
		a.key(e.text("id")).change(e)
	case "sandbox":
		s := a.sandbox(e.text("id"))
		s.updated = max(s.updated, e.at)
		s.change(e)
	}
}

func (u *user) change(e event) {
	at := e.at
	switch e.typ {
	case "user.profile_updated.v1":
		if e.has("name") {
			u.name = e.textOrNil("name")
		}
		if e.has("display_name") {
			u.displayName = e.textOrNil("display_name")
		}
		if e.has("avatar_url") {
			u.avatarURL = e.textOrNil("avatar_url")
		}
	case "user.email_changed.v1":
		u.email, u.emailVerified = e.text("email"), nil
	case "user.email_verified.v1":
		u.emailVerified = &at
	case "user.tier_changed.v1":
		u.tier, u.quotaTier = e.text("tier"), e.text("quota_tier_id")
	case "user.operator_changed.v1":
		u.operator = e.boolean("is_operator")
	case "user.abuse_flags_changed.v1":
		for _, m := range e.object("flags").members {
			u.setFlag(m)
		}
	case "user.deletion_scheduled.v1":
		u.deleteAt = e.timeOrNil("delete_scheduled_at")
	case "user.deletion_cancelled.v1":
		u.deleteAt = nil
	case "user.soft_deleted.v1":
		u.softDeleted = &at
	case "user.restored.v1":
		u.softDeleted, u.deleteAt = nil, nil
	}
}

func (u *user) setFlag(m member) {
	i := slices.IndexFunc(u.flags, func(f member) bool { return f.name == m.name })
	switch {
	case m.value.kind == 'n' && i >= 0:
		u.flags = slices.Delete(u.flags, i, i+1)
	case m.value.kind == 'n':
	case i >= 0:
		u.flags[i].value = m.value
	default:
		u.flags = append(u.flags, m)
	}
}

func (t *team) change(e event) {
	at := e.at
	switch e.typ {
	case "team.updated.v1":
		if e.has("name") {
			t.name = e.text("name")
		}
		if e.has("slug") {
			t.slug = e.text("slug")
		}
	case "team.owner_changed.v1":
		t.owner = e.text("owner_user_id")
	case "team.quota_tier_changed.v1":
		t.quotaTier = e.text("quota_tier_id")
	case "team.soft_deleted.v1":
		t.softDeleted = &at
	case "team.restored.v1":
		t.softDeleted = nil
	}
}

func (k *apiKey) change(e event) {
	at := e.at
	switch e.typ {
	case "api_key.updated.v1":
		if e.has("name") {
			k.name = e.text("name")
		}
		if e.has("scope") {
			k.scope = e.text("scope")
		}
		if e.has("expires_at") {
			k.expires = e.timeOrNil("expires_at")
		}
		if e.has("is_active") {
			k.active = e.boolean("is_active")
		}
	case "api_key.used.v1":
		if k.used == nil || *k.used < at {
			k.used = &at
		}
	case "api_key.revoked.v1":
		k.active, k.revoked = false, &at
	}
}

func (s *sandbox) change(e event) {
	at := e.at
	switch e.typ {
	case "sandbox.started.v1":
		s.status, s.started = "running", &at
	case "sandbox.status_changed.v1":
		s.status = e.text("status")
	case "sandbox.metadata_updated.v1":
		s.metadata = e.object("metadata").compact(nil)
	case "sandbox.destroyed.v1":
		s.status, s.destroyed = "destroyed", &at
	}
}

// recordUsage sets a day or adds to it, or returns which sum is beyond its limit and
// changes nothing.
func (a *account) recordUsage(e event) string {
	creates, gbHours := e.number("sandbox_creates"), e.number("gb_hours")
	d := a.day(e.text("team_id"), e.text("usage_date"))
	if d != nil && e.typ == "quota_usage.incremented.v1" {
		creates += d.creates // both below 2^60: no overflow
		gbHours += d.gbHours
		if creates > maxInteger {
			return "sandbox_creates: sum past the limit"
		}
		if gbHours > maxDecimal {
			return "gb_hours: sum past the limit"
		}
	}
	if d == nil {
		d = &usageDay{team: e.text("team_id"), date: e.text("usage_date"), updated: e.at}
		a.usage = append(a.usage, d)
	}
	d.creates, d.gbHours, d.updated = creates, gbHours, max(d.updated, e.at)
	return ""
}
