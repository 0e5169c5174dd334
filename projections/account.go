package projections

import (
	"fmt"

	"accountexport/events"
)

// Account is the state of one account: what its messages so far have made of
// it. It is made by [NewAccount] or [LoadAccount], changed by [Account.Apply]
// alone, and not safe for concurrent use.
type Account struct {
	id        events.UUID
	partition int
	position  uint64
	parked    int
	erased    bool
	erasedAt  events.Time

	user    *User // parsed on first use
	userRaw []byte
	team    *Team
	teamRaw []byte

	usage, keys, sandboxes section

	waiting         map[waitKey]*waiter // waiting patches known here
	waitingCount    int                 // entities that events wait for
	waitingComplete bool                // waiting holds all there are

	userDirty, teamDirty, wiped bool
	stored                      bool // the store has a row

	// Since the last flush; of an account that is new or wiped all there is.
	messages uint64 // consumed
	digest   Digest // added, as far as it is known before the flush
	userSum  Digest // of userRaw, once it was needed
	teamSum  Digest
}

// ID is whose state it is.
func (a *Account) ID() events.UUID { return a.id }

// Partition is that of the account's last message.
func (a *Account) Partition() int { return a.partition }

// Position is the stream sequence of the last message consumed.
func (a *Account) Position() uint64 { return a.position }

// Parked is the number of the account's messages that are parked.
func (a *Account) Parked() int { return a.parked }

// Erased tells whether it is a tombstone.
func (a *Account) Erased() bool { return a.erased }

// Wiped tells whether it was erased since the last [Account.Flush].
func (a *Account) Wiped() bool { return a.wiped }

// NewAccount is an account that was never heard of.
func NewAccount(id events.UUID) *Account {
	return &Account{id: id, usage: newSection(UsageSection), keys: newSection(KeySection),
		sandboxes: newSection(SandboxSection), waitingComplete: true}
}

// AccountRow is an account's row in the read model.
//
// Sections are JSON ready to send; the long ones hold the live tail, items
// joined by commas and without brackets. Written, a nil section is unchanged;
// read, it is empty.
type AccountRow struct {
	ID        events.UUID
	Partition int
	Position  uint64
	Parked    int
	ErasedAt  *events.Time // the row is a tombstone: nothing below is set

	QuotaTierID            string // that the team names; empty without a team
	User, Team             []byte
	Usage, Keys, Sandboxes []byte
	UsageLow               string // lowest usage day that belongs in the tail
	UsagePages, KeyPages   int
	SandboxPages           int
	Waiting                int // entities that events wait for
}

// LoadAccount is the account that a stored row describes.
func LoadAccount(r *AccountRow) *Account {
	a := NewAccount(r.ID)
	a.partition, a.position, a.parked, a.stored = r.Partition, r.Position, r.Parked, true
	if r.ErasedAt != nil {
		a.erased, a.erasedAt = true, *r.ErasedAt
		return a
	}
	a.userRaw, a.teamRaw = r.User, r.Team
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

// erase removes everything but the tombstone.
func (a *Account) erase(at events.Time) {
	position, partition, stored := a.position, a.partition, a.stored
	*a = *NewAccount(a.id)
	a.position, a.partition, a.stored = position, partition, stored
	a.erased, a.erasedAt, a.wiped = true, at, true
	a.digest = DigestTombstone(at)
}

// Size estimates the bytes that the account holds in memory.
func (a *Account) Size() int {
	n := 700 + len(a.userRaw) + len(a.teamRaw) + a.waitingSize()
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

// Trim forgets what can be asked for again. All but the changes since the last
// Flush must be in the store.
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

// Overlay estimates the bytes that Trim would free.
func (a *Account) Overlay() int {
	n := a.waitingSize()
	for _, s := range a.sections() {
		n += s.overlaySize()
	}
	return n
}

// Whole tells whether all of the account is in memory.
func (a *Account) Whole() bool {
	return a.waitingComplete && a.usage.complete && a.keys.complete && a.sandboxes.complete
}
