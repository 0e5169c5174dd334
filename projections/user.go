package projections

import (
	"strconv"

	"accountexport/events"
)

// User is the account's user, as in contract §4.
type User struct {
	ID                       events.UUID
	Email, Tier, QuotaTierID string
	IsOperator               bool
	CreatedAt, UpdatedAt     events.Time
	Name, DisplayName        *string
	AvatarURL                *string
	EmailVerifiedAt          *events.Time
	SoftDeletedAt            *events.Time
	DeleteScheduledAt        *events.Time
	AbuseFlags               flags
}

func (u *User) appendJSON(b []byte) []byte {
	b = appendUUID(append(b, `{"id":`...), u.ID)
	b = appendString(append(b, `,"email":`...), u.Email)
	b = appendString(append(b, `,"tier":`...), u.Tier)
	b = appendString(append(b, `,"quota_tier_id":`...), u.QuotaTierID)
	b = strconv.AppendBool(append(b, `,"is_operator":`...), u.IsOperator)
	b = appendTime(append(b, `,"created_at":`...), u.CreatedAt)
	b = appendTime(append(b, `,"updated_at":`...), u.UpdatedAt)
	b = appendStringPtr(append(b, `,"name":`...), u.Name)
	b = appendStringPtr(append(b, `,"display_name":`...), u.DisplayName)
	b = appendStringPtr(append(b, `,"avatar_url":`...), u.AvatarURL)
	b = appendTimePtr(append(b, `,"email_verified_at":`...), u.EmailVerifiedAt)
	b = appendTimePtr(append(b, `,"soft_deleted_at":`...), u.SoftDeletedAt)
	b = appendTimePtr(append(b, `,"delete_scheduled_at":`...), u.DeleteScheduledAt)
	b = u.AbuseFlags.appendJSON(append(b, `,"abuse_flags":`...))
	return append(b, '}')
}

func readUser(b []byte) (*User, error) {
	o := openObject(b)
	u := &User{ID: o.uuid(), Email: o.str(), Tier: o.str(), QuotaTierID: o.str(), IsOperator: o.boolean(),
		CreatedAt: o.time(), UpdatedAt: o.time(), Name: o.strPtr(), DisplayName: o.strPtr(), AvatarURL: o.strPtr(),
		EmailVerifiedAt: o.timePtr(), SoftDeletedAt: o.timePtr(), DeleteScheduledAt: o.timePtr()}
	raw := o.raw()
	if o.err != nil {
		return nil, o.err
	}
	err := u.AbuseFlags.read(raw)
	return u, err
}

// flags is an ordered set of named JSON values. Setting a name that is there keeps its
// place; a new one goes last, see contract §2. A removed flag leaves a hole, so that
// the cost of a change does not grow with the number of flags; holes are removed when
// they are half of all.
type flags struct {
	list  []events.Flag  // Value nil: a hole
	index map[string]int // from name to place in list; built on first use
	holes int
}

// set sets a flag, or with a nil value removes it.
func (f *flags) set(name string, value []byte) {
	if f.index == nil {
		f.compact()
	}
	i, ok := f.index[name]
	switch {
	case value != nil && ok:
		f.list[i].Value = value
	case value != nil:
		f.index[name] = len(f.list)
		f.list = append(f.list, events.Flag{Name: name, Value: value})
	case ok:
		f.list[i] = events.Flag{}
		delete(f.index, name)
		if f.holes++; f.holes > 16 && f.holes > len(f.list)/2 {
			f.compact()
		}
	}
}

// compact removes the holes and builds the index.
func (f *flags) compact() {
	live := f.list[:0:0]
	f.index = make(map[string]int, len(f.list)-f.holes)
	for _, m := range f.list {
		if m.Value != nil {
			f.index[m.Name] = len(live)
			live = append(live, m)
		}
	}
	f.list, f.holes = live, 0
}

// apply makes changes, in order.
func (f *flags) apply(ops []events.Flag) {
	for _, op := range ops {
		f.set(op.Name, op.Value)
	}
}

func (f *flags) appendJSON(b []byte) []byte {
	b = append(b, '{')
	first := true
	for _, m := range f.list {
		if m.Value == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(appendString(b, m.Name), ':'), m.Value...)
	}
	return append(b, '}')
}

// read adds the members of a stored object.
func (f *flags) read(b []byte) error {
	o := openObject(b)
	for {
		name, value := o.member()
		if name == nil {
			return o.err
		}
		s, err := unquote(name)
		if err != nil {
			return err
		}
		f.list = append(f.list, events.Flag{Name: s, Value: append([]byte(nil), value...)})
	}
}

// size is about how many bytes the flags take in memory.
func (f *flags) size() int {
	n := 0
	for _, m := range f.list {
		n += len(m.Name)*2 + len(m.Value) + 96
	}
	return n
}
