package workload

import (
	"fmt"
	"strconv"
)

// HotConfig says how large the sections of a hot account become.
type HotConfig struct {
	Sandboxes int // default 10,000
	Keys      int // default 1,000
	UsageDays int // default 2,000; from 2020-01-01 on
}

// HotAccount generates the endless stream of one account. While its sections grow to
// their size, a third of the events changes items of any age; afterwards all events
// do. Every event is applied. It is not safe for concurrent use.
type HotAccount struct {
	composer
	config                HotConfig
	id, teamID            string
	sandboxes, keys, days int
	begun                 int
}

// NewHotAccount returns the stream of a seed.
func NewHotAccount(seed uint64, config HotConfig) *HotAccount {
	set := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	set(&config.Sandboxes, 10_000)
	set(&config.Keys, 1_000)
	set(&config.UsageDays, 2_000)
	h := &HotAccount{composer: newComposer(seed), config: config}
	h.id, h.teamID = h.newUUID(), h.newUUID()
	return h
}

// Account returns the id of the account.
func (h *HotAccount) Account() string { return h.id }

// Growing reports whether a section has not reached its size yet.
func (h *HotAccount) Growing() bool {
	return h.sandboxes < h.config.Sandboxes || h.keys < h.config.Keys || h.days < h.config.UsageDays
}

// Next returns the next message.
func (h *HotAccount) Next() Message {
	h.begun++
	switch h.begun {
	case 1:
		return h.tier("pro", 1000)
	case 2:
		return h.user(h.id, "pro")
	case 3:
		return h.team(h.id, h.teamID, "pro")
	}
	if h.Growing() && (h.sandboxes+h.keys+h.days == 0 || h.IntN(3) > 0) {
		return h.grow()
	}
	return h.change()
}

// grow creates an item, in each section in proportion to what it still lacks.
func (h *HotAccount) grow() Message {
	sandboxes, keys, days := h.config.Sandboxes-h.sandboxes, h.config.Keys-h.keys, h.config.UsageDays-h.days
	switch n := h.IntN(sandboxes + keys + days); {
	case n < sandboxes:
		h.sandboxes++
		return h.sandboxCreated(h.id, h.sandbox(h.sandboxes-1))
	case n < sandboxes+keys:
		h.keys++
		return h.keyCreated(h.id, h.teamID, h.key(h.keys-1))
	default:
		h.days++
		return h.usage(h.id, h.teamID, h.day(h.days-1), "quota_usage.recorded.v1")
	}
}

// change changes an item of any age, in proportion to the sections' sizes.
func (h *HotAccount) change() Message {
	switch n := h.IntN(h.sandboxes + h.keys + h.days); {
	case n < h.sandboxes:
		return h.sandboxEvent(h.id, h.sandbox(n), h.oneOf("sandbox.started.v1", "sandbox.status_changed.v1",
			"sandbox.metadata_updated.v1", "sandbox.destroyed.v1"))
	case n < h.sandboxes+h.keys:
		id := h.key(n - h.sandboxes)
		return h.start().text("id", id).event("account", h.id, h.oneOf("api_key.used.v1", "api_key.used.v1",
			"api_key.updated.v1", "api_key.revoked.v1"))
	default:
		return h.usage(h.id, h.teamID, h.day(n-h.sandboxes-h.keys),
			h.oneOf("quota_usage.recorded.v1", "quota_usage.incremented.v1", "quota_usage.incremented.v1"))
	}
}

func (h *HotAccount) sandbox(n int) string { return "sbx-hot-" + strconv.Itoa(n) }

func (h *HotAccount) key(n int) string { return fmt.Sprintf("%08x%s", n, h.id[8:]) }

// day spreads days over the calendar, so that new ones appear between old ones.
func (h *HotAccount) day(n int) int {
	step := 7919 // a prime: no day comes twice unless it divides the size
	if h.config.UsageDays%step == 0 {
		step = 1
	}
	return n * step % h.config.UsageDays
}
