package projections_test

import (
	"fmt"
	"strings"

	"accountexport/events"
	"accountexport/projections"
)

// A tier is defined, and an account's events are folded, one of them before the
// sandbox that it is about. Then the account's document is complete.
func ExampleFold() {
	account := events.UUID{0: 0x3c, 15: 1}
	team := events.UUID{0: 0x7a, 15: 1}
	meta := events.Meta{ID: "e-1", Source: "/control-plane/api", Time: 1_774_429_847_000_000}
	fold := projections.NewFold()
	position := uint64(0)
	apply := func(m events.Message, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		position++
		out, reason, err := fold.Apply(projections.Message{Position: position, Message: m})
		if err != nil {
			fmt.Println(err)
			return
		}
		if fmt.Print(position, " ", out); reason != nil {
			fmt.Print(": ", reason)
		}
		fmt.Println()
	}

	apply(events.NewQuotaTierDefined(meta, events.QuotaTierDefined{ID: "free", DisplayName: "Free", MaxConcurrentSandboxes: 2}))
	apply(events.NewUserRegistered(meta, account, events.UserRegistered{Email: "ada@example.org", Tier: "free", QuotaTierID: "free"}))
	apply(events.NewSandboxStarted(meta, account, events.SandboxStarted{ID: "sbx_1"})) // waits for the sandbox
	_, missing, _ := fold.Document(account)
	fmt.Println("missing:", missing)
	apply(events.NewTeamCreated(meta, account, events.TeamCreated{ID: team, Name: "Ada", Slug: "ada", QuotaTierID: "free"}))
	apply(events.NewSandboxCreated(meta, account, events.SandboxCreated{ID: "sbx_1", Template: "base"}))
	apply(events.NewSandboxCreated(meta, account, events.SandboxCreated{ID: "sbx_1", Template: "base"}))
	apply(events.Message{Subject: events.AccountSubject(account), Data: []byte(`{}`)}, nil)

	doc, _, err := fold.Document(account)
	if err != nil {
		fmt.Println(err)
		return
	}
	text := string(doc)
	for _, section := range []string{"team", "quota_tier", "quota_usage", "api_keys", "sandboxes"} { // a line each
		text = strings.Replace(text, `,"`+section+`":`, ",\n\""+section+`":`, 1)
	}
	fmt.Println(text)
	// Output:
	// 1 applied
	// 2 applied
	// 3 deferred
	// missing: [team quota_tier]
	// 4 applied
	// 5 applied
	// 6 duplicate
	// 7 parked: specversion: found nothing, want the text "1.0"
	// {"user":{"id":"3c000000-0000-0000-0000-000000000001","email":"ada@example.org","tier":"free","quota_tier_id":"free","is_operator":false,"created_at":"2026-03-25T09:10:47Z","updated_at":"2026-03-25T09:10:47Z","name":null,"display_name":null,"avatar_url":null,"email_verified_at":null,"soft_deleted_at":null,"delete_scheduled_at":null,"abuse_flags":{}},
	// "team":{"id":"7a000000-0000-0000-0000-000000000001","name":"Ada","slug":"ada","owner_user_id":"3c000000-0000-0000-0000-000000000001","quota_tier_id":"free","created_at":"2026-03-25T09:10:47Z","updated_at":"2026-03-25T09:10:47Z","soft_deleted_at":null},
	// "quota_tier":{"id":"free","display_name":"Free","max_concurrent_sandboxes":2,"daily_sandbox_creates":0,"daily_gb_hours":0},
	// "quota_usage":[],
	// "api_keys":[],
	// "sandboxes":[{"id":"sbx_1","template":"base","status":"running","metadata":{},"started_at":"2026-03-25T09:10:47Z","destroyed_at":null,"created_at":"2026-03-25T09:10:47Z","updated_at":"2026-03-25T09:10:47Z"}]}
}
