package workload

import "strconv"

// Backlog generates a realistic stream of a known length. Accounts appear during the
// first four fifths of it, a few of them are a thousand times as active as most, and
// half a percent of the messages is invalid or early. It is not safe for concurrent
// use.
type Backlog struct {
	composer
	accounts  []backlogAccount
	total     int // accounts in all
	events    int
	generated int
	pending   *Message // generated already
}

type backlogAccount struct {
	id, team string
	created  int      // sandboxes so far
	live     []int    // numbers of the sandboxes that exist
	keys     []string // at most four
}

// NewBacklog returns the stream of a seed, with this number of events over this
// number of accounts. For all accounts to appear it needs at least five events, and
// three more per account.
func NewBacklog(seed uint64, accounts, events int) *Backlog {
	return &Backlog{composer: newComposer(seed), total: max(accounts, 1), events: events}
}

// Next returns the next message, and false after the last.
func (b *Backlog) Next() (Message, bool) {
	n := b.generated
	if n >= b.events {
		return Message{}, false
	}
	b.generated++
	tiers := []string{"free", "pro", "team", "enterprise"}
	if n < len(tiers) {
		return b.tier(tiers[n], 10<<n), true
	}
	if b.pending != nil {
		m := *b.pending
		b.pending = nil
		return m, true
	}
	due := 1 + n*b.total*5/(4*b.events)
	if len(b.accounts) < min(due, b.total) && n+2 <= b.events {
		a := backlogAccount{id: b.newUUID(), team: b.newUUID()}
		b.accounts = append(b.accounts, a)
		tier := tiers[min(b.IntN(8), b.IntN(8))/2]
		first := b.user(a.id, tier)
		second := b.team(a.id, a.team, tier)
		b.pending = &second
		return first, true
	}
	u := b.Float64()
	return b.lifeEvent(&b.accounts[int(u*u*u*float64(len(b.accounts)))]), true
}

// lifeEvent generates one event in the life of an account.
func (b *Backlog) lifeEvent(a *backlogAccount) Message {
	switch p := b.IntN(1000); {
	case p < 3: // invalid: a status that is not text
		return b.start().text("id", a.sandbox(a.created)).number("status", p).event("account", a.id, "sandbox.status_changed.v1")
	case p < 5: // early: of the sandbox that is created next
		return b.sandboxEvent(a.id, a.sandbox(a.created), "sandbox.started.v1")
	case p < 120:
		return b.usage(a.id, a.team, 2270+b.generated*30/b.events, "quota_usage.incremented.v1")
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

// sandbox returns the id of the account's sandbox of that number.
func (a *backlogAccount) sandbox(n int) string { return "sbx-" + a.id[:8] + "-" + strconv.Itoa(n) }
