package workload

// everyReason lists the reasons for which messages of a hostile stream must be
// parked: every way in which an envelope, JSON or any field of any type can be wrong.
func everyReason() []string {
	reasons := []string{"subject: names no account or tier", "batch: not accepted", "payload: not an object",
		"type: not on this kind of subject", "specversion: not 1.0", "partitionkey: not the subject's",
		"time: not a time", "time: year outside 0001 to 9999", "datacontenttype: not JSON", "data_base64: not accepted",
		"data: missing", "data: not an object", "id: a second team", "id: another team", "team_id: another team",
		"id: not the subject's tier", "sandbox_creates: sum past the limit", "gb_hours: sum past the limit"}
	for _, name := range []string{"specversion", "id", "source", "type", "time"} {
		reasons = append(reasons, name+": missing", name+": empty")
	}
	for _, name := range []string{"specversion", "id", "source", "type", "time", "partitionkey", "datacontenttype"} {
		reasons = append(reasons, name+": not a string", name+": control character", name+": given twice", name+": not UTF-8")
	}
	for _, problem := range []string{"invalid UTF-8", "nested too deep", "duplicate member name", "lone surrogate", "bad number",
		"no value", "more after the value", "string without end", "control character in a string", "unknown escape",
		"bad \\u escape", "no colon", "no member name", "neither comma nor ]", "neither comma nor }"} {
		reasons = append(reasons, "payload JSON: "+problem, "data JSON: "+problem)
	}
	for _, t := range append(accountTypes(), tierDefined()) {
		for _, f := range t.fields {
			for _, problem := range f.problems() {
				reasons = append(reasons, f.name+": "+problem)
			}
		}
	}
	return reasons
}

func (f field) problems() []string {
	problems := map[kind][]string{
		text:      {"not a text", "text too long", "U+0000 in a text"},
		tierID:    {"not a text", "text too long", "U+0000 in a text", "text too short"},
		sandboxID: {"not a text", "text too long", "U+0000 in a text", "text too short"},
		boolean:   {"not a boolean"},
		uuid:      {"not a UUID"}, teamID: {"not a UUID"}, keyID: {"not a UUID"},
		integer:   {"not an integer", "integer too large"},
		decimal:   {"not a decimal", "decimal too large"},
		timestamp: {"not a time", "year outside 0001 to 9999"},
		date:      {"not a date"},
		object:    {"not an object"},
	}[f.kind]
	switch {
	case f.rule == needed:
		problems = append(problems, "missing")
	case f.rule == patch:
		problems = append(problems, "null")
	}
	if f.kind == text && (f.rule == needed || f.rule == patch) {
		problems = append(problems, "text too short")
	}
	if f.kind == object {
		problems = append(problems, "object too large")
	}
	return problems
}
