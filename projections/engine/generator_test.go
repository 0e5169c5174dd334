package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/internal/script"
)

// generator makes random streams. They have few accounts with much in them, so that
// sections have many pages and old items change. Events come before their entity, and
// there are erasures, invalid messages, long objects and many flags.
type generator struct {
	*rand.Rand
	position uint64
	accounts []*generatedAccount
}

type generatedAccount struct {
	id              events.UUID
	teams           []string
	keys, sandboxes int
}

func newGenerator(seed uint64, accounts int) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	for range accounts {
		g.accounts = append(g.accounts, &generatedAccount{id: g.uuid(), teams: []string{g.uuid().String(), g.uuid().String()}})
	}
	return g
}

func (g *generator) uuid() events.UUID {
	var id events.UUID
	for i := range id {
		id[i] = byte(g.Uint32())
	}
	return id
}

// stream returns the next n messages.
func (g *generator) stream(n int) []projections.Message {
	out := make([]projections.Message, n)
	for i := range out {
		out[i] = g.message()
	}
	return out
}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

// message is on an account in its partition, or on a tier; now and then on a
// subject that is neither.
func (g *generator) message() projections.Message {
	g.position += 1 + uint64(g.IntN(3))
	m := projections.Message{Position: g.position, Time: script.Start.Add(time.Duration(g.position) * time.Second)}
	n := min(g.IntN(len(g.accounts)+3), len(g.accounts)-1) // the last one has most
	a := g.accounts[n]
	m.Partition, m.Subject = n%testPartitions, events.AccountSubject(a.id)
	var typ, data string
	switch x := g.IntN(1000); {
	case x < 20:
		tier := g.pick("free", "pro", "team")
		m.Partition, m.Subject = 1, events.TierSubject(tier)
		typ, data = "quota_tier.defined", fmt.Sprintf(`{"id":%q,"display_name":"T","max_concurrent_sandboxes":%d,`+
			`"daily_sandbox_creates":2,"daily_gb_hours":%d.5}`, g.pick(tier, tier, tier, "free"), g.IntN(9), g.IntN(99))
	case x < 25:
		m.Partition, m.Subject = g.IntN(testPartitions+1)-1, g.pick("controlplane.account.", "controlplane.x.", "")+"nobody"
		typ, data = "user.registered", `{}`
	case x < 35:
		m.Data = []byte(g.pick("", "{", "hello", `{"specversion":"1.0","id":""}`, "null", `{"a":1,"a":2}`))
		return m
	case x < 36 && n < len(g.accounts)-1:
		typ, data = "account.erased", "{}"
	default:
		typ, data = g.event(a)
	}
	m.Data = fmt.Appendf(nil, `{"specversion":"1.0","id":"e%d","source":"/test","type":"controlplane.%s.v1","time":%q,"data":%s}`,
		g.position, typ, g.time(), data)
	return m
}

func (g *generator) time() string {
	return script.Start.Add(time.Duration(g.IntN(40_000_000)) * 37 * time.Millisecond).Format(time.RFC3339Nano)
}

// event is one of an account's: of an entity that is there, will be, or never.
func (g *generator) event(a *generatedAccount) (typ, data string) {
	switch x := g.IntN(100); {
	case x < 4:
		return "user.registered", fmt.Sprintf(`{"email":"%d@example.com","tier":"t","quota_tier_id":"free","name":%s}`, g.IntN(99), g.text())
	case x < 14:
		return g.userEvent()
	case x < 24:
		return g.teamEvent(a)
	case x < 44:
		day := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, g.IntN(600)).Format(time.DateOnly)
		creates := int64(g.IntN(100))
		if g.IntN(50) == 0 {
			creates = events.MaxInteger - 10
		}
		return g.pick("quota_usage.recorded", "quota_usage.incremented"), fmt.Sprintf(
			`{"team_id":%q,"usage_date":%q,"sandbox_creates":%d,"gb_hours":%d.%06d}`, g.pick(a.teams...), day, creates, g.IntN(1000), g.IntN(1_000_000))
	case x < 50:
		a.keys++
		return "api_key.created", fmt.Sprintf(`{"id":%q,"team_id":%q,"key_prefix":"p","name":%s,"scope":"s"}`,
			g.key(a, a.keys-g.IntN(2)), g.pick(a.teams[0], a.teams[g.IntN(2)]), g.text())
	case x < 62:
		id := g.key(a, g.IntN(a.keys+5))
		switch g.IntN(3) {
		case 0:
			return "api_key.used", fmt.Sprintf(`{"id":%q}`, id)
		case 1:
			return "api_key.revoked", fmt.Sprintf(`{"id":%q}`, id)
		}
		return "api_key.updated", fmt.Sprintf(`{"id":%q,"name":%s,"expires_at":%s,"is_active":%s}`, id, g.text(),
			g.pick("null", `"2027-01-01T00:00:00Z"`), g.pick("true", "false", "null"))
	case x < 75:
		a.sandboxes++
		return "sandbox.created", fmt.Sprintf(`{"id":"s%d","template":"base","metadata":%s}`, a.sandboxes-g.IntN(2), g.object())
	case x < 99:
		id := fmt.Sprint("s", g.IntN(a.sandboxes+8))
		switch g.IntN(4) {
		case 0:
			return "sandbox.started", fmt.Sprintf(`{"id":%q}`, id)
		case 1:
			return "sandbox.destroyed", fmt.Sprintf(`{"id":%q}`, id)
		case 2:
			return "sandbox.metadata_updated", fmt.Sprintf(`{"id":%q,"metadata":%s}`, id, g.object())
		}
		return "sandbox.status_changed", fmt.Sprintf(`{"id":%q,"status":%s}`, id, g.text())
	}
	return "unheard.of", `{"id":1}`
}

func (g *generator) key(a *generatedAccount, n int) string {
	id := a.id
	id[0], id[1] = byte(n>>8), byte(n)
	return id.String()
}

func (g *generator) userEvent() (typ, data string) {
	switch g.IntN(10) {
	case 0:
		return "user.profile_updated", fmt.Sprintf(`{"name":%s,"avatar_url":%s}`, g.pick("null", g.text()), g.pick("null", `""`))
	case 1:
		return "user.email_changed", `{"email":"new@example.com"}`
	case 2:
		return "user.tier_changed", `{"tier":"u","quota_tier_id":"pro"}`
	case 3:
		return "user.operator_changed", `{"is_operator":true}`
	case 4:
		return "user.deletion_scheduled", `{"delete_scheduled_at":"2028-01-01T00:00:00.5Z"}`
	case 5:
		return g.pick("user.email_verified", "user.deletion_cancelled", "user.soft_deleted", "user.restored"), "{}"
	}
	flags := map[string]bool{}
	var members []string
	for range g.IntN(40) {
		if name := fmt.Sprint("f", g.IntN(400)); !flags[name] {
			flags[name] = true
			members = append(members, fmt.Sprintf(`%q:%s`, name, g.pick("null", "null", "true", "1e3", g.text(), `{"a":[1]}`)))
		}
	}
	return "user.abuse_flags_changed", `{"flags":{` + strings.Join(members, ",") + `}}`
}

func (g *generator) teamEvent(a *generatedAccount) (typ, data string) {
	id := g.pick(a.teams[0], a.teams[0], a.teams[1])
	switch g.IntN(6) {
	case 0:
		return "team.created", fmt.Sprintf(`{"id":%q,"name":%s,"slug":"s","quota_tier_id":"free"}`, id, g.text())
	case 1:
		return "team.updated", fmt.Sprintf(`{"id":%q,"slug":%s}`, id, g.text())
	case 2:
		return "team.owner_changed", fmt.Sprintf(`{"id":%q,"owner_user_id":%q}`, id, a.id)
	case 3:
		return "team.quota_tier_changed", fmt.Sprintf(`{"id":%q,"quota_tier_id":%q}`, id, g.pick("free", "pro", "gone"))
	case 4:
		return "team.soft_deleted", fmt.Sprintf(`{"id":%q}`, id)
	}
	return "team.restored", fmt.Sprintf(`{"id":%q}`, id)
}

func (g *generator) text() string {
	return g.pick(`"x"`, `"running"`, `"\u00e9\"\\\n,}]"`, `"☃"`, `"`+strings.Repeat("long ", 1+g.IntN(20))+`"`)
}

func (g *generator) object() string {
	switch g.IntN(60) {
	case 0:
		return `{"big":"` + strings.Repeat("0123456789abcdef", g.IntN(1200)) + `"}`
	case 1:
		return ` { "b" : 1.0, "a" : [ "]", "}", "\u0000" ] } `
	}
	return g.pick(`{}`, `{"owner":"me"}`, `{"a":`+g.text()+`,"n":1e400}`)
}
