package generate

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"accountexport/events"
)

// exampleAccount is whose events the examples are.
const exampleAccount = "3c90c3cc-0d44-4b50-8888-8dd25736052a"

// exampleValues are the fields of the examples, by entity and field as words.go has
// them.
func exampleValues() map[string]string {
	const team, key = `"a2d3da15-043b-4119-906d-8b8750665f5a"`, `"463742f5-bb72-4714-b53b-60dc24b1801f"`
	return map[string]string{
		"user email": `"ada@example.com"`, "user tier": `"pro"`, "user quota_tier_id": `"pro"`, "user name": `"Ada Lovelace"`,
		"user display_name": `"ada"`, "user avatar_url": `"https://example.com/ada.png"`, "user is_operator": "false",
		"user delete_scheduled_at": `"2026-04-24T07:10:47Z"`, "user flags": `{"spam":{"score":0.9},"reviewed":null}`,

		"team id": team, "team name": `"Analytical Engines"`, "team slug": `"analytical-engines"`, "team quota_tier_id": `"pro"`,
		"team owner_user_id": `"` + exampleAccount + `"`,

		"quota_tier id": `"pro"`, "quota_tier display_name": `"Pro"`, "quota_tier max_concurrent_sandboxes": "20",
		"quota_tier daily_sandbox_creates": "500", "quota_tier daily_gb_hours": "100.25",

		"quota_usage team_id": team, "quota_usage usage_date": `"2026-03-25"`, "quota_usage sandbox_creates": "3", "quota_usage gb_hours": "0.125",

		"api_key id": key, "api_key team_id": team, "api_key key_prefix": `"sk_64623d"`, "api_key name": `"CI"`, "api_key scope": `"export:read"`,
		"api_key expires_at": `"2027-03-25T00:00:00Z"`, "api_key is_active": "false",
		"api_key rotation_parent_key_id": `"9d0c3c52-6f4e-4bb4-9d3c-0f1f0f1b7a11"`,

		"sandbox id": `"sbx_01J9ZQ4Y0Q8W"`, "sandbox template": `"python-3.12"`, "sandbox status": `"paused"`,
		"sandbox metadata": `{"purpose":"nightly build"}`,
	}
}

// example is an event of the type, with all of its fields.
func (e event) example() object {
	entity, _, _ := strings.Cut(events.ShortType(e.typ), ".")
	data := object{}
	for _, f := range e.fields {
		data = append(data, member{f.Name, jsontext.Value(exampleValues()[entity+" "+f.Name])})
	}
	key := exampleAccount
	if e.tier {
		key = "pro"
	}
	return object{{"specversion", "1.0"}, {"id", "01J9ZQ4Y0Q8W"}, {"source", "/control-plane/api"}, {"type", e.typ}, {"time", "2026-03-25T07:10:47.777Z"},
		{"partitionkey", key}, {"datacontenttype", "application/json"}, {"data", data}}
}
