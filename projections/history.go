package projections

import (
	"bytes"
	"maps"
	"slices"

	"accountexport/events"
)

// FieldChange is the change of one field of one entity. From is nil where the entity did
// not exist before, and To where it does not exist any more. Both are JSON.
type FieldChange struct {
	Entity   string // user, team, quota_usage, api_keys or sandboxes
	ID       string // of the item in a section; empty for user and team
	Field    string
	From, To []byte
}

// HistoryEntry is what one message did to its account.
type HistoryEntry struct {
	Message
	Type    string       // in full; empty where it could not be read
	At      *events.Time // the event's own time; nil where the envelope is not sound
	Outcome Outcome
	Reason  error // why it is parked
	Changes []FieldChange
}

// History follows what the messages of one account do to it, one by one. The tier is not
// part of it, since it is shared.
type History struct {
	account *Account
}

// entityKey names an entity as a [FieldChange] does.
type entityKey struct{ entity, id string }

type entityJSON []byte

// NewHistory begins before the account's first message.
func NewHistory(account events.UUID) *History { return &History{account: NewAccount(account)} }

// Apply folds the account's next message. What that costs does not grow with the account,
// since a message changes one entity; an erasure is the exception.
func (h *History) Apply(m Message) (HistoryEntry, error) {
	d, err := Decode(m)
	if err != nil {
		return HistoryEntry{}, err
	}
	e := HistoryEntry{Message: m, Type: d.Event.Type}
	if d.Event.Sound {
		at := d.Event.Time
		e.At = &at
	}
	before, err := h.account.affectedEntities(d.Event.Data)
	if err != nil {
		return e, err
	}
	if e.Outcome, err = h.account.Apply(&d); err != nil && e.Outcome != Parked {
		return e, err
	}
	e.Reason = err
	if e.Outcome != Applied {
		return e, nil
	}
	after, err := h.account.affectedEntities(d.Event.Data)
	if err != nil {
		return e, err
	}
	e.Changes = compareEntities(before, after)
	return e, nil
}

// Size is about how many bytes of memory the account's state takes.
func (h *History) Size() int { return h.account.Size() }

// affectedEntities are the entities that an event can change and that exist, as JSON.
func (a *Account) affectedEntities(data events.Payload) (map[entityKey]entityJSON, error) {
	switch data.(type) {
	case nil:
		return nil, nil
	case *events.AccountErased:
		return a.entities()
	}
	s, k := a.target(data)
	if s != nil {
		return s.entityAt(k.id)
	}
	out := map[entityKey]entityJSON{}
	return out, a.userAndTeam(out, k.kind == UserEntity, k.kind == TeamEntity)
}

func (s *section) entityAt(key string) (map[entityKey]entityJSON, error) {
	p, found, err := s.find(key)
	if err != nil || found != present {
		return nil, err
	}
	items := s.tail
	if p.page != nil {
		items = p.page.items
	}
	return map[entityKey]entityJSON{{s.name(), key}: bytes.Clone(items[p.index].raw)}, nil
}

func (s *section) name() string {
	return map[SectionKind]string{UsageSection: "quota_usage", KeySection: "api_keys", SandboxSection: "sandboxes"}[s.kind]
}

// userAndTeam adds the user and the team, where they are wanted and exist.
func (a *Account) userAndTeam(out map[entityKey]entityJSON, user, team bool) error {
	if user && a.hasUser() {
		u, err := a.openUser()
		if err != nil {
			return err
		}
		out[entityKey{"user", ""}] = u.appendJSON(nil)
	}
	if team && a.hasTeam() {
		t, err := a.openTeam()
		if err != nil {
			return err
		}
		out[entityKey{"team", ""}] = t.appendJSON(nil)
	}
	return nil
}

// entities are all entities of the account that are in memory, as JSON.
func (a *Account) entities() (map[entityKey]entityJSON, error) {
	out := map[entityKey]entityJSON{}
	if err := a.userAndTeam(out, true, true); err != nil {
		return nil, err
	}
	for _, s := range a.sections() {
		name := s.name()
		if err := s.parseTail(); err != nil {
			return nil, err
		}
		for _, it := range s.tail {
			out[entityKey{name, it.key}] = it.raw
		}
		for _, pg := range s.open {
			for _, it := range pg.items {
				out[entityKey{name, it.key}] = it.raw
			}
		}
	}
	return out, nil
}

// compareEntities is what has changed, in the order of the document.
func compareEntities(before, after map[entityKey]entityJSON) []FieldChange {
	var out []FieldChange
	all := map[entityKey]entityJSON{}
	maps.Copy(all, before)
	maps.Copy(all, after)
	sorted := slices.SortedFunc(maps.Keys(all), func(a, b entityKey) int {
		if a.entity != b.entity {
			return entityRank(a.entity) - entityRank(b.entity)
		}
		return bytes.Compare([]byte(a.id), []byte(b.id))
	})
	for _, p := range sorted {
		from, to := before[p], after[p]
		if bytes.Equal(from, to) {
			continue
		}
		out = append(out, compareFields(p, from, to)...)
	}
	return out
}

func entityRank(entity string) int {
	return slices.Index([]string{"user", "team", "quota_usage", "api_keys", "sandboxes"}, entity)
}

func compareFields(p entityKey, from, to []byte) []FieldChange {
	var out []FieldChange
	was, is := fieldsOf(from), fieldsOf(to)
	longer := is
	if len(is) == 0 {
		longer = was
	}
	for i, f := range longer {
		c := FieldChange{Entity: p.entity, ID: p.id, Field: f.name}
		if len(was) > 0 {
			c.From = was[i].value
		}
		if len(is) > 0 {
			c.To = is[i].value
		}
		if !bytes.Equal(c.From, c.To) {
			out = append(out, c)
		}
	}
	return out
}

type namedValue struct {
	name  string
	value []byte
}

// fieldsOf cuts an entity's JSON into its fields, which are always all there and in the
// same order.
func fieldsOf(b []byte) []namedValue {
	if b == nil {
		return nil
	}
	var out []namedValue
	o := openObject(b)
	for name, value := o.member(); name != nil; name, value = o.member() {
		s, _ := unquote(name) // cannot fail: this program wrote it
		out = append(out, namedValue{s, value})
	}
	return out
}
