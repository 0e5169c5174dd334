package workload

// hostileAttributes lists what can be wrong with an envelope.
func hostileAttributes() []mutation {
	ours := []string{"specversion", "id", "source", "type", "time"}
	set := func(d *draft, name, text, raw string) {
		a := d.attribute(name)
		a.text, a.raw = text, raw
	}
	return []mutation{
		{"attribute missing", func(g *Generator, d *draft) { d.drop(pick(g.source, ours...)) }},
		{"attribute null", func(g *Generator, d *draft) { set(d, pick(g.source, ours...), "", "null") }},
		{"attribute empty", func(g *Generator, d *draft) {
			set(d, pick(g.source, append(ours, "partitionkey", "datacontenttype")...), "", "")
		}},
		{"attribute no string", func(g *Generator, d *draft) {
			set(d, pick(g.source, append(ours, "partitionkey", "datacontenttype")...), "17", pick(g.source, "17", "1.0", "true", "{}", "[]"))
		}},
		{"control character", func(g *Generator, d *draft) {
			a := d.attribute(pick(g.source, append(ours, "partitionkey", "datacontenttype")...))
			a.text += pick(g.source, "\u0000", "\n", "\t", "\u007f", "\u0085", "\u009f", "\r\n", "\u001f")
			a.raw = ""
		}},
		{"attribute twice", func(g *Generator, d *draft) {
			a := *d.attribute(pick(g.source, append(ours, "partitionkey", "datacontenttype")...))
			if d.binary {
				d.setHeader("cE-"+a.name, "x", "y")
				return
			}
			raw := a.raw
			if raw == "" {
				raw = g.text(a.text)
			}
			d.more = append(d.more, member{a.name, raw})
		}},
		{"no UTF-8 in a header", func(g *Generator, d *draft) {
			if d.binary {
				name := pick(g.source, append(ours, "partitionkey", "datacontenttype")...)
				d.drop(name)
				d.setHeader("ce-"+name, pick(g.source, "%ff", "a%C3", "%ed%a0%80", "%c0%80", "a\xffb"))
			}
		}},
		{"odd percent signs", func(g *Generator, d *draft) {
			if d.binary {
				name := pick(g.source, "id", "source")
				d.drop(name)
				d.setHeader("ce-"+name, pick(g.source, "%", "100%", "%4", "%zz", "%%41", "%25ff", "%2", "%E2%82%AC", "é%"))
			}
		}},
		{"content type twice", func(g *Generator, d *draft) {
			if d.binary {
				d.contentType = ""
				d.setHeader("Content-Type", "application/json", "application/json")
			}
		}},
		{"content type encoded", func(g *Generator, d *draft) {
			if d.binary {
				d.contentType = "application%2Fjson"
			}
		}},
		{"specversion", func(g *Generator, d *draft) {
			set(d, "specversion", pick(g.source, "1.1", "0.3", "1", "1.00", "v1.0", " 1.0 ", "１.0", "1.0.0"), "")
		}},
		{"time", func(g *Generator, d *draft) { set(d, "time", g.wrongTime(), "") }},
		{"type", func(g *Generator, d *draft) {
			set(d, "type", pick(g.source, "controlplane.user.registered.v1 ", "CONTROLPLANE.user.registered.v1", "controlplane",
				"controlplane.account.erased", "controlplane.quota_tier.defined.v1", "controlplane.user.email_verified.v1"), "")
		}},
		{"partitionkey", func(g *Generator, d *draft) {
			set(d, "partitionkey", pick(g.source, "other", upper(d.tokens[1]), d.tokens[1]+" ", g.uuid(), d.tokens[0]), "")
		}},
		{"datacontenttype", func(g *Generator, d *draft) {
			set(d, "datacontenttype", pick(g.source, "text/plain", "json", "application/", "/json", "application/jsonx",
				"application/json/x", "application/ json", "application/xml; a=json", "application/cloudevents+json",
				"application/x-json", "ápplication/json", ";", "application/vnd.é+json", "a b/json", "application/json,text/json"), "")
		}},
		{"content type of binary mode", func(g *Generator, d *draft) {
			if d.binary {
				d.contentType = pick(g.source, "text/plain", "application/octet-stream", "application/cloudevents+json",
					"application/cloudevents+avro", "junk", "application/cloudevents")
			}
		}},
		{"batch", func(g *Generator, d *draft) {
			d.contentType = pick(g.source, "application/cloudevents-batch+json", "Application/CloudEvents-Batch+JSON; charset=utf-8")
			if g.chance(0.5) {
				d.payload = func(b []byte) []byte { return append(append([]byte("["), b...), ']') }
			}
		}},
		{"data_base64", func(g *Generator, d *draft) {
			d.more = append(d.more, member{"data_base64", pick(g.source, `"e30="`, `""`, "17", "{}", "false")})
			if g.chance(0.5) {
				d.data = "-"
			}
		}},
		{"mode mistaken", func(g *Generator, d *draft) { // looks like a message of the other mode
			if d.binary {
				d.drop("specversion")
			} else {
				d.contentType = ""
				d.setHeader("ce-specversion", "1.0")
			}
		}},
	}
}
