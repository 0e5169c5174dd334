package workload

import "strconv"

// Backlog makes a realistic stream of a known length: accounts turn up over
// the first four fifths of it, a few of them are a thousand times as busy as
// most, and half a percent of the messages is broken or early.
type Backlog struct {
	composer
	accounts []backlogAccount
	room     int // accounts in all
	events   int
	given    int
	next     *Message // made already
}

type backlogAccount struct {
	id, team string
	created  int      // sandboxes so far
	live     []int    // numbers of sandboxes not destroyed
	keys     []string // at most four
}

// NewBacklog returns the stream of a seed: so many events over so many
// accounts. It needs at least five events, and three more for each account, to
// hear of all of them.
func NewBacklog(seed uint64, accounts, events int) *Backlog {
	return &Backlog{composer: newComposer(seed), room: max(accounts, 1), events: events}
}

// Next makes the next message; false after the last.
func (b *Backlog) Next() (Message, bool) {
	n := b.given
	if n >= b.events {
		return Message{}, false
	}
	b.given++
	tiers := []string{"free", "pro", "team", "enterprise"}
	if n < len(tiers) {
		return b.tier(tiers[n], 10<<n), true
	}
	if b.next != nil {
		m := *b.next
		b.next = nil
		return m, true
	}
	due := 1 + n*b.room*5/(4*b.events)
	if len(b.accounts) < min(due, b.room) && n+2 <= b.events {
		a := backlogAccount{id: b.newUUID(), team: b.newUUID()}
		b.accounts = append(b.accounts, a)
		tier := tiers[min(b.IntN(8), b.IntN(8))/2]
		first := b.user(a.id, tier)
		second := b.team(a.id, a.team, tier)
		b.next = &second
		return first, true
	}
	u := b.Float64()
	return b.lifeEvent(&b.accounts[int(u*u*u*float64(len(b.accounts)))]), true
}

// lifeEvent makes one event in the life of an account.
func (b *Backlog) lifeEvent(a *backlogAccount) Message {
	switch p := b.IntN(1000); {
	case p < 3: // broken: a status that is no text
		return b.start().text("id", a.sandbox(a.created)).number("status", p).event("account", a.id, "sandbox.status_changed.v1")
	case p < 5: // early: the sandbox that comes next
		return b.sandboxEvent(a.id, a.sandbox(a.created), "sandbox.started.v1")
	case p < 120:
		return b.usage(a.id, a.team, 2270+b.given*30/b.events, "quota_usage.incremented.v1")
	case p < 140 && len(a.keys) < 4:
		a.keys = append(a.keys, b.newUUID())
		return b.keyCreated(a.id, a.team, a.keys[len(a.keys)-1])
	case p < 145 && len(a.keys) > 1:
		id := a.keys[0]
		a.keys = a.keys[1:]
		return b.start().text("id", id).event("account", a.id, "api_key.revoked.v1")
	case p < 220 && len(a.keys) > 0:
		return b.start().text("id", a.keys[b.IntN(len(a.keys))]).event("account", a.id, "api_key.used.v1")
	case p < 235:
		return b.start().text("display_name", "Name "+strconv.Itoa(p)).event("account", a.id, "user.profile_updated.v1")
	case p < 430 || len(a.live) == 0:
		a.live = append(a.live, a.created)
		a.created++
		return b.sandboxCreated(a.id, a.sandbox(a.created-1))
	case p < 600 || len(a.live) > 20+a.created/20:
		i := b.IntN(len(a.live))
		n := a.live[i]
		a.live[i] = a.live[len(a.live)-1]
		a.live = a.live[:len(a.live)-1]
		return b.sandboxEvent(a.id, a.sandbox(n), "sandbox.destroyed.v1")
	default:
		n := a.live[max(b.IntN(len(a.live)), b.IntN(len(a.live)))]
		return b.sandboxEvent(a.id, a.sandbox(n), b.oneOf("sandbox.started.v1", "sandbox.status_changed.v1",
			"sandbox.status_changed.v1", "sandbox.metadata_updated.v1"))
	}
}

// sandbox is the id of an account's sandbox of that number.
func (a *backlogAccount) sandbox(n int) string { return "sbx-" + a.id[:8] + "-" + strconv.Itoa(n) }
