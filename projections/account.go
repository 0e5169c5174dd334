package projections

import (
	"fmt"

	"accountexport/events"
)

// Account is the state of one account: what its messages have made of it so far. It is
// made by [NewAccount] or [LoadAccount] and changed by [Account.Apply] and
// [Account.Hydrate]. It is not safe for concurrent use.
type Account struct {
	id        events.UUID
	partition int
	position  uint64
	parked    int
	erased    bool
	erasedAt  events.Time

	user    *User // parsed from userRaw on first use; nil: not parsed, or there is none
	userRaw []byte
	team    *Team
	teamRaw []byte
	tierID  string // the team's quota tier, as of the last flush

	usage, keys, sandboxes section

	waiting         map[waitKey]*waiter // what is known here of waiting patches
	waitingCount    int                 // entities that events wait for, in the store and here
	waitingComplete bool                // waiting has all of them, so what is not in it does not exist

	userDirty, teamDirty bool // changed since the last flush
	wiped                bool // erased since the last flush
	stored               bool // the store has a row

	// What the next flush adds to the row's own sums; for an account that is new or
	// wiped, all there is.
	messages uint64 // consumed, whatever their outcome
	digest   Digest // as far as it is known before the flush
	userSum  Digest // of userRaw as stored, once it was needed; zero before
	teamSum  Digest // of teamRaw as stored, likewise
}

// ID is the account's id.
func (a *Account) ID() events.UUID { return a.id }

// Partition is the partition of the account's last message.
func (a *Account) Partition() int { return a.partition }

// Position is the stream sequence of the last message consumed.
func (a *Account) Position() uint64 { return a.position }

// Parked is the number of the account's messages that are parked.
func (a *Account) Parked() int { return a.parked }

// Erased reports whether the account is a tombstone.
func (a *Account) Erased() bool { return a.erased }

// Wiped reports whether it was erased since the last [Account.Flush].
func (a *Account) Wiped() bool { return a.wiped }

// NewAccount is an account without messages.
func NewAccount(id events.UUID) *Account {
	return &Account{id: id, usage: newSection(UsageSection), keys: newSection(KeySection),
		sandboxes: newSection(SandboxSection), waitingComplete: true}
}

// AccountRow is an account's row in the read model.
//
// The sections are JSON ready to send. The long ones hold the live tail: items joined
// by commas, without brackets. In a row that is written, a nil section means that it
// is unchanged; in a row that was read, that it is empty.
type AccountRow struct {
	ID        events.UUID
	Partition int
	Position  uint64
	Parked    int
	ErasedAt  *events.Time // not nil: the row is a tombstone, and nothing below is set

	QuotaTierID            string // the team's; empty without a team
	User, Team             []byte
	Usage, Keys, Sandboxes []byte
	UsageLow               string // the lowest usage day that belongs into the tail, earlier ones being in pages
	UsagePages, KeyPages   int
	SandboxPages           int
	Waiting                int // entities that events wait for
}

// LoadAccount is the account that a stored row describes. It keeps the row's memory.
func LoadAccount(r *AccountRow) *Account {
	a := NewAccount(r.ID)
	a.partition, a.position, a.parked, a.stored = r.Partition, r.Position, r.Parked, true
	if r.ErasedAt != nil {
		a.erased, a.erasedAt = true, *r.ErasedAt
		return a
	}
	a.userRaw, a.teamRaw, a.tierID = r.User, r.Team, r.QuotaTierID
	a.usage.rawTail, a.usage.low, a.usage.pages = r.Usage, r.UsageLow, r.UsagePages
	a.usage.storedLow = r.UsageLow
	a.keys.rawTail, a.keys.pages = r.Keys, r.KeyPages
	a.sandboxes.rawTail, a.sandboxes.pages = r.Sandboxes, r.SandboxPages
	for _, s := range a.sections() {
		s.complete = s.pages == 0
	}
	a.waitingCount, a.waitingComplete = r.Waiting, r.Waiting == 0
	return a
}

func (a *Account) sections() [3]*section { return [3]*section{&a.usage, &a.keys, &a.sandboxes} }

func (a *Account) hasUser() bool { return a.user != nil || a.userRaw != nil }
func (a *Account) hasTeam() bool { return a.team != nil || a.teamRaw != nil }

// openUser parses the user where that was not done yet.
func (a *Account) openUser() (*User, error) {
	if a.user == nil {
		u, err := readUser(a.userRaw)
		if err != nil {
			return nil, fmt.Errorf("user: %w", err)
		}
		a.user = u
	}
	return a.user, nil
}

// openTeam parses the team where that was not done yet.
func (a *Account) openTeam() (*Team, error) {
	if a.team == nil {
		t, err := readTeam(a.teamRaw)
		if err != nil {
			return nil, fmt.Errorf("team: %w", err)
		}
		a.team = t
	}
	return a.team, nil
}

// erase leaves nothing but the tombstone.
func (a *Account) erase(at events.Time) {
	position, partition, stored := a.position, a.partition, a.stored
	*a = *NewAccount(a.id)
	a.position, a.partition, a.stored = position, partition, stored
	a.erased, a.erasedAt, a.wiped = true, at, true
	a.digest = DigestTombstone(at)
}

// Size is about how many bytes the account takes in memory.
func (a *Account) Size() int {
	n := 900 + len(a.userRaw) + len(a.teamRaw) + a.waitingSize()
	if a.user != nil {
		n += 400 + a.user.AbuseFlags.size()
	}
	if a.team != nil {
		n += 300
	}
	for _, s := range a.sections() {
		n += s.size()
	}
	return n
}

// Trim drops what can be looked up again. Everything but the changes since the last
// Flush has to be in the store.
func (a *Account) Trim() {
	for _, s := range a.sections() {
		s.trim()
	}
	for k, w := range a.waiting {
		if w.dirty {
			continue
		}
		delete(a.waiting, k)
		if w.patch != nil {
			a.waitingComplete = false
		}
	}
	a.waitingComplete = a.waitingComplete || a.waitingCount == 0
}

// Compact keeps of the account what its row holds, as it is stored and in one piece of
// memory, and drops what was parsed of it: it is parsed again when it is next needed. It
// does nothing where something has changed since the last Flush.
func (a *Account) Compact() {
	if a.userDirty || a.teamDirty || a.usage.dirty || a.keys.dirty || a.sandboxes.dirty || a.erased {
		return
	}
	a.team = nil // the user is kept only where its many flags are dear to parse
	for _, s := range a.sections() {
		if len(s.tail) > 0 {
			s.rawTail = joinItems(s.tail, s.tailBytes)
			s.tail, s.tailBytes = nil, 0
		}
	}
	parts := [...]*[]byte{&a.userRaw, &a.teamRaw, &a.usage.rawTail, &a.keys.rawTail, &a.sandboxes.rawTail}
	size := 0
	for _, p := range parts {
		size += len(*p)
	}
	whole := make([]byte, 0, size)
	for _, p := range parts {
		if *p != nil {
			from := len(whole)
			whole = append(whole, *p...)
			*p = whole[from:len(whole):len(whole)]
		}
	}
}

// Overlay is about how many bytes Trim would free.
func (a *Account) Overlay() int {
	n := a.waitingSize()
	for _, s := range a.sections() {
		n += s.overlaySize()
	}
	return n
}

// Whole reports whether all of the account is in memory, so that no message needs a
// lookup.
func (a *Account) Whole() bool {
	return a.waitingComplete && a.usage.complete && a.keys.complete && a.sandboxes.complete
}
