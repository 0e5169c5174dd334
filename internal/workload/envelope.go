package workload

import "fmt"

// envelope drafts an event without its fields, with everything random that the
// contract allows.
func (g *Generator) envelope(t eventType, kind, last string) *draft {
	s := g.source
	d := &draft{tokens: [2]string{kind, last}, eventType: t, binary: g.chance(0.3)}
	d.attributes = []attribute{
		{name: "specversion", text: "1.0"},
		{name: "id", text: pick(s, fmt.Sprintf("e-%d", g.made), fmt.Sprintf("%s 100%% é %d", g.plainWord(), g.made))},
		{name: "source", text: pick(s, "/control-plane/api", "/control-plane/api", "urn:é", "//x y%zz")},
		{name: "type", text: "controlplane." + t.name},
		{name: "time", text: g.timeNear(g.clock)},
	}
	if g.chance(0.3) {
		d.attributes = append(d.attributes, attribute{name: "partitionkey", text: last})
	}
	if g.chance(0.2) {
		d.attributes = append(d.attributes, attribute{name: "datacontenttype", text: pick(s, "application/json",
			"application/json; charset=utf-8", "Application/JSON", "text/json", "application/vnd.x+json;v=1", "application/json ;x")})
	}
	if d.binary {
		g.binaryHeaders(d)
		return d
	}
	d.contentType = pick(s, "", "", "", "application/cloudevents+json", "Application/CloudEvents+JSON",
		"application/cloudevents+json; charset=utf-8", "application/cloudevents+json ;x", "application/json", "text/plain", "junk")
	if d.contentType != "" && g.chance(0.1) && d.contentType[0]|0x20 == 'a' && len(d.contentType) > 20 {
		d.setHeader("ce-specversion", "0.3") // the mode depends on the content type only
	}
	if g.chance(0.05) {
		d.setHeader("ce-type", "ignored in structured mode %ff")
	}
	g.furtherAttributes(d)
	return d
}

// furtherAttributes adds attributes that nothing reads.
func (g *Generator) furtherAttributes(d *draft) {
	has := func(name string) bool {
		for _, a := range d.attributes {
			if a.name == name {
				return true
			}
		}
		return false
	}
	for _, name := range []string{"partitionkey", "datacontenttype"} {
		if !has(name) && g.chance(0.05) {
			d.attributes = append(d.attributes, attribute{name: name, raw: "null"})
		}
	}
	if g.chance(0.05) {
		d.more = append(d.more, member{"data_base64", "null"})
	}
	if g.chance(0.2) {
		d.more = append(d.more, member{"traceparent", `"00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"`})
	}
	if g.chance(0.1) {
		d.more = append(d.more, member{pick(g.source, "Type", "ID", "subject", "sequence", "é", "", "dataschema", "Data"),
			g.anything(3)})
	}
}

func (g *Generator) binaryHeaders(d *draft) {
	d.contentType = pick(g.source, "", "application/json", "application/json", "Application/Json; charset=utf-8", "text/x+json")
	if g.chance(0.1) {
		d.setHeader(pick(g.source, "ce-traceparent", "Ce-Subject", "ce-sequence", "X-Other", "ce-data"), "%00%ff raw é")
	}
	if g.chance(0.02) {
		d.setHeader("ce-dataschema", "twice", "is nobody's business")
	}
}

// plainWord returns a short text without characters that an attribute may not
// contain.
func (g *Generator) plainWord() string {
	return pick(g.source, "é", "日本", "😀", `"q"`, `\`, "%41", "a=b;c", "<&>")
}

// enlarge fills the message up to the size limits.
func (g *Generator) enlarge(d *draft) {
	filled := false
	for i, f := range d.fields {
		for _, spec := range d.eventType.fields {
			if spec.name == f.name && spec.kind == object {
				d.fields[i].raw = g.objectOf(65_536)
				filled = true
			}
		}
	}
	if !filled {
		d.fields = append(d.fields, member{"padding", g.text(g.textOf(10_000))})
	}
}
