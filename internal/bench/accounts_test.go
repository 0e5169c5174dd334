package bench

import (
	"bytes"
	"fmt"
	"testing"

	"accountexport/events"
	"accountexport/readmodel/export"
)

// publishAccounts publishes accounts with documents of about 3.6 kB.
func publishAccounts(b *testing.B, s *stack, n int) []events.UUID {
	b.Helper()
	at, _ := events.ParseTime("2026-03-25T07:10:47.777Z")
	id := 0
	meta := func() events.Meta {
		id++
		return events.Meta{ID: fmt.Sprintf("bench-%d", id), Source: "/bench", Time: at + events.Time(id)*1000}
	}
	publish := func(m events.Message, err error) {
		if err == nil {
			_, _, err = s.client.Publish(b.Context(), m)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	publish(events.NewQuotaTierDefined(meta(), events.QuotaTierDefined{ID: "free", DisplayName: "Free", MaxConcurrentSandboxes: 3,
		DailySandboxCreates: 50, DailyGBHours: 1_500_000}))
	var ids []events.UUID
	for i := range n {
		account, _ := events.ParseUUID(fmt.Sprintf("3c90c3cc-0d44-4b50-8888-%012x", i))
		team, _ := events.ParseUUID(fmt.Sprintf("7a90c3cc-0d44-4b50-8888-%012x", i))
		ids = append(ids, account)
		publish(events.NewUserRegistered(meta(), account, events.UserRegistered{Email: fmt.Sprintf("user%d@example.org", i), Tier: "free", QuotaTierID: "free"}))
		publish(events.NewTeamCreated(meta(), account, events.TeamCreated{ID: team, Name: "Team", Slug: fmt.Sprintf("team-%d", i), QuotaTierID: "free"}))
		for k := range 2 {
			key, _ := events.ParseUUID(fmt.Sprintf("9b90c3cc-0d44-4b50-%04x-%012x", k, i))
			publish(events.NewAPIKeyCreated(meta(), account, events.APIKeyCreated{ID: key, TeamID: team, KeyPrefix: "sk_1234", Name: "key", Scope: "full"}))
		}
		for d := range 3 {
			publish(events.NewQuotaUsageRecorded(meta(), account, events.QuotaUsageRecorded{QuotaUsage: events.QuotaUsage{TeamID: team,
				UsageDate: events.Date(fmt.Sprintf("2026-03-%02d", d+1)), SandboxCreates: int64(d), GBHours: 2_500_000}}))
		}
		for k := range 6 {
			publish(events.NewSandboxCreated(meta(), account, events.SandboxCreated{ID: fmt.Sprintf("sbx_%d_%d", i, k), Template: "code-interpreter-v1",
				Metadata: []byte(`{"env":"production","region":"eu-central-1","owner":"someone"}`)}))
		}
	}
	return ids
}

// copyDocuments puts the same documents into a table of their own, for the
// bare handler.
func copyDocuments(b *testing.B, s *stack, exports *export.Reader, ids []events.UUID) (size int) {
	b.Helper()
	if _, err := s.pool.Exec(b.Context(), `CREATE TABLE bare (account_id uuid PRIMARY KEY, document bytea COMPRESSION lz4)`); err != nil {
		b.Fatal(err)
	}
	for _, id := range ids {
		d, err := exports.Open(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		var doc bytes.Buffer
		if _, err := d.WriteTo(&doc); err != nil {
			b.Fatal(err)
		}
		d.Close()
		size = doc.Len()
		if _, err := s.pool.Exec(b.Context(), `INSERT INTO bare VALUES ($1, $2)`, [16]byte(id), doc.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.pool.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
		b.Fatal(err)
	}
	return size
}
