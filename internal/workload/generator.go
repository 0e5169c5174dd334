package workload

import (
	"fmt"
	"time"
)

// Config says what kind of stream New generates. Shares are of all messages, from 0
// to 1.
type Config struct {
	Accounts     int     // accounts that exist at a time; default 64
	HostileShare float64 // messages that are invalid, or nearly so
	ErasureShare float64 // account.erased events; a new account replaces the erased one
	LargeShare   float64 // messages of tens of kilobytes
}

// Generator generates the endless stream of a seed. It is not safe for concurrent
// use.
type Generator struct {
	*source
	config   Config
	types    []eventType
	weight   int
	hostile  []mutation
	accounts []*account
	erased   []*account
	recent   []Message
	made     int
	clock    int64 // microseconds since 1970
}

// account holds the ids that the account's events refer to, whether or not anything
// with that id was created.
type account struct {
	id, team        string
	keys, sandboxes []string
	user, hasTeam   bool
}

// New returns the generator of a seed.
func New(seed uint64, config Config) *Generator {
	if config.Accounts <= 0 {
		config.Accounts = 64
	}
	g := &Generator{source: newSource(seed), config: config, types: accountTypes(), hostile: mutations(),
		clock: time.Date(2026, 3, 25, 7, 0, 0, 0, time.UTC).UnixMicro()}
	for _, t := range g.types {
		g.weight += t.weight
	}
	for range config.Accounts {
		g.accounts = append(g.accounts, g.newAccount())
	}
	return g
}

func (g *Generator) newAccount() *account {
	return &account{id: g.uuid(), team: g.uuid(), keys: []string{g.uuid()}, sandboxes: []string{"sbx-" + g.uuid()[:8]}}
}

// Next returns the next message.
func (g *Generator) Next() Message {
	g.made++
	g.clock += g.Int64N(2_000_000)
	if len(g.recent) > 0 && g.chance(0.02) {
		return g.recent[g.IntN(len(g.recent))].clone()
	}
	d := g.sound()
	if g.chance(g.config.HostileShare) {
		g.hostile[g.IntN(len(g.hostile))].spoil(g, d)
	} else if g.chance(g.config.LargeShare) {
		g.enlarge(d)
	}
	m := g.message(d)
	switch {
	case len(m.Data) > 10_000: // too large to keep
	case len(g.recent) < 64:
		g.recent = append(g.recent, m.clone())
	default:
		g.recent[g.made%64] = m.clone()
	}
	return m
}

func (m Message) clone() Message {
	c := Message{Subject: m.Subject, Data: append([]byte(nil), m.Data...)}
	if m.Header != nil {
		c.Header = map[string][]string{}
		for name, values := range m.Header {
			c.Header[name] = append([]string(nil), values...)
		}
	}
	return c
}

// sound drafts a message that the contract accepts as an event, whatever its outcome.
func (g *Generator) sound() *draft {
	if g.made <= 2 || g.chance(0.03) {
		return g.tierDefinition()
	}
	if len(g.erased) > 0 && g.chance(0.02) {
		a := g.erased[g.IntN(len(g.erased))]
		return g.event(a, g.anyType())
	}
	// Squaring makes the first accounts the most active.
	u := g.Float64()
	i := int(u * u * float64(len(g.accounts)))
	a := g.accounts[i]
	if g.chance(g.config.ErasureShare) {
		g.accounts[i] = g.newAccount()
		if g.erased = append(g.erased, a); len(g.erased) > 50 {
			g.erased = g.erased[1:]
		}
		return g.event(a, erased())
	}
	switch {
	case !a.user && g.chance(0.3):
		a.user = true
		return g.event(a, registered())
	case !a.hasTeam && g.chance(0.25):
		a.hasTeam = true
		return g.event(a, teamCreated())
	case g.chance(0.01):
		return g.unknown(a)
	}
	return g.event(a, g.anyType())
}

func (g *Generator) anyType() eventType {
	n := g.IntN(g.weight)
	for _, t := range g.types {
		if n -= t.weight; n < 0 {
			return t
		}
	}
	return g.types[0]
}

// event drafts an event of an account.
func (g *Generator) event(a *account, t eventType) *draft {
	if g.chance(0.03) {
		a.keys = append(a.keys, g.uuid())
	}
	if g.chance(0.05) {
		a.sandboxes = append(a.sandboxes, pick(g.source, "sbx-"+g.uuid()[:8], g.uuid(), "é/"+g.uuid()[:4], g.textOf(128)))
	}
	d := g.envelope(t, "account", a.id)
	for _, f := range t.fields {
		if f.rule != needed && g.chance(0.4) {
			continue
		}
		d.fields = append(d.fields, member{f.name, g.fieldOf(a, t, f)})
	}
	g.unknownField(d)
	return d
}

// fieldOf returns a field's value as JSON, mostly with the account's own ids.
func (g *Generator) fieldOf(a *account, t eventType, f field) string {
	id := ""
	switch {
	case f.kind == teamID:
		id = a.team
		if g.chance(0.03) || t.name[:5] == "quota" && g.chance(0.2) {
			id = pick(g.source, g.uuid(), "11111111-2222-4333-8444-555555555555")
		}
	case f.kind == keyID:
		id = a.keys[max(g.IntN(len(a.keys)), g.IntN(len(a.keys)))]
	case f.kind == sandboxID:
		return g.text(a.sandboxes[max(g.IntN(len(a.sandboxes)), g.IntN(len(a.sandboxes)))])
	case f.kind == tierID:
		return g.text(g.tier())
	case f.name == "flags":
		return g.flags()
	default:
		return g.valid(f, g.clock)
	}
	if g.chance(0.1) {
		id = g.mixedCase(id)
	}
	return g.text(id)
}

// tier returns a tier id. "late" is defined late, and "never" never.
func (g *Generator) tier() string {
	return pick(g.source, "free", "free", "free", "pro", "pro", "team_x", "Enterprise-1", "late", "never")
}

func (g *Generator) tierDefinition() *draft {
	id := pick(g.source, "free", "pro", "team_x", "Enterprise-1")
	if g.made > 1000 && g.chance(0.2) {
		id = "late"
	}
	t := tierDefined()
	d := g.envelope(t, "quota_tier", id)
	for _, f := range t.fields {
		raw := g.text(id)
		if f.name != "id" {
			raw = g.valid(f, g.clock)
		}
		d.fields = append(d.fields, member{f.name, raw})
	}
	g.unknownField(d)
	return d
}

// unknown drafts an event of an unknown type.
func (g *Generator) unknown(a *account) *draft {
	d := g.event(a, g.anyType())
	d.attribute("type").text = pick(g.source, "controlplane.sandbox.paused.v1", "controlplane.user.registered.v2",
		"com.example.other", "user.registered.v1", "controlplane.User.registered.v1", "é", "controlplane.")
	switch g.IntN(6) {
	case 0: // datacontenttype and data of an unknown type are not checked
		a := d.attribute("datacontenttype")
		a.text, a.raw = "text/plain", ""
	case 1:
		a := d.attribute("datacontenttype")
		a.text, a.raw = "text/plain", "17"
	case 2:
		d.data = pick(g.source, "-", "null", "[]", `"text"`, "17")
	case 3:
		d.more = append(d.more, member{"data_base64", `"aGVsbG8="`})
		d.data = "-"
	case 4:
		if d.binary {
			d.payload = func([]byte) []byte { return []byte("no JSON \xff") }
		}
	}
	return d
}

func (g *Generator) unknownField(d *draft) {
	if g.chance(0.1) {
		d.fields = append(d.fields, member{fmt.Sprintf("unknown_%d_é", g.IntN(9)), g.anything(3)})
	}
	if g.chance(0.03) {
		d.fields = append(d.fields, member{pick(g.source, "ID", "Id", "Name", "TEAM_ID", "", "at"), g.anything(2)})
	}
}
