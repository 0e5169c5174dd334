package workload

// mutation is one way to spoil a message. The result usually, but not always,
// violates the contract.
type mutation struct {
	name  string
	spoil func(*Generator, *draft)
}

func mutations() []mutation {
	list := append(hostileJSON(), hostileAttributes()...)
	return append(list, []mutation{
		{"wrong value", wrongValue}, {"wrong value", wrongValue}, {"wrong value", wrongValue},
		{"wrong value", wrongValue}, {"wrong value", wrongValue}, {"wrong value", wrongValue},
		{"field missing", func(g *Generator, d *draft) {
			if n := len(d.fields); n > 0 {
				i := g.IntN(n)
				d.fields = append(d.fields[:i], d.fields[i+1:]...)
			}
		}},
		{"field null", func(g *Generator, d *draft) {
			if n := len(d.fields); n > 0 {
				d.fields[g.IntN(n)].raw = "null"
			}
		}},
		{"field twice", func(g *Generator, d *draft) {
			if n := len(d.fields); n > 0 {
				d.fields = append(d.fields, d.fields[g.IntN(n)])
			}
		}},
		{"data of another kind", func(g *Generator, d *draft) {
			d.data = pick(g.source, "-", "null", "[]", `"{}"`, "17", "true", "[{}]")
		}},
		{"account with junk", func(g *Generator, d *draft) {
			id := d.tokens[1]
			d.tokens = [2]string{"account", pick(g.source, upper(id), "{"+id+"}", "junk", id+"0", id[:len(id)-1],
				"é", "00000000000000000000000000000000", "$SYS", "12345678-1234-1234-1234-12345678901g", "1-2-3-4-5")}
			g.followKey(d)
		}},
		{"tier with junk", func(g *Generator, d *draft) {
			d.tokens = [2]string{"quota_tier", pick(g.source, "bad!", "é", "a/b", g.textOf65(), "a@b", "~", "(x)")}
			g.followKey(d)
		}},
		{"another kind of subject", func(g *Generator, d *draft) {
			d.tokens[0] = pick(g.source, "Account", "accounts", "team", "quota-tier", "QUOTA_TIER", "é", "0", "quota_tiers")
		}},
		{"wrong kind of subject", func(g *Generator, d *draft) {
			if d.tokens[0] == "account" {
				d.tokens[0] = "quota_tier"
			} else {
				d.tokens = [2]string{"account", g.accounts[g.IntN(len(g.accounts))].id}
			}
			g.followKey(d)
		}},
		{"another tier's subject", func(g *Generator, d *draft) {
			if d.tokens[0] == "quota_tier" {
				d.tokens[1] = pick(g.source, "other", "free", "FREE", g.textOf65()[:64])
				g.followKey(d)
			}
		}},
		{"second team", func(g *Generator, d *draft) {
			if d.tokens[0] == "account" {
				a := account{id: d.tokens[1], team: g.uuid()}
				*d = *g.event(a.withIDs(g), teamCreated())
			}
		}},
	}...)
}

func (a account) withIDs(g *Generator) *account {
	a.keys, a.sandboxes = []string{g.uuid()}, []string{"other"}
	return &a
}

// followKey makes the partitionkey match the subject in most messages.
func (g *Generator) followKey(d *draft) {
	for i := range d.attributes {
		if a := &d.attributes[i]; a.name == "partitionkey" && a.raw == "" && g.chance(0.7) {
			a.text = d.tokens[1]
		}
	}
}

func (g *Generator) textOf65() string {
	b := make([]byte, 65)
	for i := range b {
		b[i] = "abcXYZ019_-"[g.IntN(11)]
	}
	return string(b)
}

func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 0x20
		}
	}
	return string(b)
}

// wrongValue gives one field of the event's type a value that the type does not
// allow.
func wrongValue(g *Generator, d *draft) {
	if len(d.eventType.fields) == 0 {
		return
	}
	f := d.eventType.fields[g.IntN(len(d.eventType.fields))]
	kept := d.fields[:0]
	for _, m := range d.fields {
		if m.name != f.name {
			kept = append(kept, m)
		}
	}
	d.fields = append(kept, member{f.name, g.wrong(f)})
}
