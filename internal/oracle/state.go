package oracle

import "slices"

// account is the state of one account.
type account struct {
	id       string
	position uint64
	erased   bool
	erasedAt int64

	user      *user
	team      *team
	usage     []*usageDay
	keys      []*apiKey
	sandboxes []*sandbox
	waiting   []event // deferred, in stream order
}

// event is a valid event of a known type.
type event struct {
	typ      string
	at       int64
	position uint64
	values   values
}

type user struct {
	email, tier, quotaTier               string
	operator                             bool
	created, updated                     int64
	name, displayName, avatarURL         *string
	emailVerified, softDeleted, deleteAt *int64
	flags                                []member
}

type team struct {
	id, name, slug, owner, quotaTier string
	created, updated                 int64
	softDeleted                      *int64
}

type tier struct {
	position     uint64
	id, name     string
	sandboxes    int64
	dailyCreates int64
	dailyGBHours int64 // millionths
}

type usageDay struct {
	team, date       string
	creates, gbHours int64
	updated          int64
}

type apiKey struct {
	id, team, prefix, name, scope string
	active                        bool
	created                       int64
	used, revoked, expires        *int64
	parent                        *string
}

type sandbox struct {
	id, template, status string
	metadata             []byte // compact
	started, destroyed   *int64
	created, updated     int64
}

func (a *account) key(id string) *apiKey {
	i := slices.IndexFunc(a.keys, func(k *apiKey) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return a.keys[i]
}

func (a *account) sandbox(id string) *sandbox {
	i := slices.IndexFunc(a.sandboxes, func(s *sandbox) bool { return s.id == id })
	if i < 0 {
		return nil
	}
	return a.sandboxes[i]
}

func (a *account) day(team, date string) *usageDay {
	i := slices.IndexFunc(a.usage, func(d *usageDay) bool { return d.team == team && d.date == date })
	if i < 0 {
		return nil
	}
	return a.usage[i]
}

// exists reports whether the entity that the event changes exists. Usage days and
// erasure wait for nothing.
func (a *account) exists(e event) bool {
	switch entity(e.typ) {
	case "user":
		return a.user != nil
	case "team":
		return a.team != nil && a.team.id == e.values["id"]
	case "api_key":
		return a.key(e.text("id")) != nil
	case "sandbox":
		return a.sandbox(e.text("id")) != nil
	}
	return true
}

// text returns a field that is present.
func (e event) text(name string) string { s, _ := e.values[name].(string); return s }

func (e event) number(name string) int64 { n, _ := e.values[name].(int64); return n }

func (e event) boolean(name string) bool { b, _ := e.values[name].(bool); return b }

func (e event) object(name string) *value { v, _ := e.values[name].(*value); return v }

func (e event) has(name string) bool { _, ok := e.values[name]; return ok }

// textOrNil returns nil for a field that is absent or null.
func (e event) textOrNil(name string) *string {
	if s, ok := e.values[name].(string); ok {
		return &s
	}
	return nil
}

func (e event) timeOrNil(name string) *int64 {
	if n, ok := e.values[name].(int64); ok {
		return &n
	}
	return nil
}
