package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/readmodel/export"
)

// publishAccounts publishes n accounts with documents of about 3.6 kB.
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

// copyDocuments copies the documents into a table for the bare handler.
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

// publishEach publishes the messages that make makes of 0 to n-1.
func publishEach(b *testing.B, s *stack, n int, make func(i int) (events.Message, error)) {
	b.Helper()
	i := 0
	if _, err := s.client.PublishAll(b.Context(), func() (events.Message, bool) {
		if i == n {
			return events.Message{}, false
		}
		m, err := make(i)
		if err != nil {
			b.Error(err)
		}
		i++
		return m, true
	}); err != nil {
		b.Fatal(err)
	}
}

// publishLarge publishes an account with this many sandboxes.
func publishLarge(b *testing.B, s *stack, account events.UUID, sandboxes int) {
	b.Helper()
	publishLargeItems(b, s, account, sandboxes, 0)
}

// publishLargeItems is publishLarge, with so many more bytes in the metadata of each.
func publishLargeItems(b *testing.B, s *stack, account events.UUID, sandboxes, padding int) {
	b.Helper()
	notes := ""
	if padding > 0 {
		notes = fmt.Sprintf(`,"notes":"%s"`, strings.Repeat("n", padding))
	}
	random := rand.New(rand.NewPCG(1, 1))
	team, _ := events.ParseUUID("7a90c3cc-0d44-4b50-9999-000000000000")
	at, _ := events.ParseTime("2026-03-25T07:10:47.777Z")
	publishEach(b, s, sandboxes+2, func(i int) (events.Message, error) {
		meta := events.Meta{ID: fmt.Sprintf("large-%s-%d", account, i+1), Source: "/bench", Time: at + events.Time(i+1)*1000}
		switch i {
		case 0:
			return events.NewUserRegistered(meta, account, events.UserRegistered{Email: "large@example.org", Tier: "free", QuotaTierID: "free"})
		case 1:
			return events.NewTeamCreated(meta, account, events.TeamCreated{ID: team, Name: "Large", Slug: "large", QuotaTierID: "free"})
		}
		metadata := fmt.Sprintf(`{"env":"production","region":"eu-central-1","run":"%016x%016x","commit":"%016x","owner":"user-%d@example.org","branch":"feature/%d"%s}`,
			random.Uint64(), random.Uint64(), random.Uint64(), random.IntN(500), random.IntN(2000), notes)
		return events.NewSandboxCreated(meta, account, events.SandboxCreated{ID: fmt.Sprintf("sbx_%016x", random.Uint64()),
			Template: "code-interpreter-v1", Metadata: []byte(metadata)})
	})
}

// publishBacklog publishes a whole backlog, and gives the number of its messages.
func publishBacklog(b testing.TB, s *stack, backlog *workload.Backlog) int {
	b.Helper()
	n, err := s.client.PublishAll(b.Context(), func() (events.Message, bool) {
		m, ok := backlog.Next()
		return message(m.Subject, m.Header, m.Data), ok
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// newMeta is an event's envelope with this id, as of now.
func newMeta(id string) events.Meta {
	return events.Meta{ID: id, Source: "/bench", Time: events.TimeOf(time.Now())}
}

// publishChange publishes a change of an account's name, and gives its position and
// the time of the acknowledgement.
func publishChange(b testing.TB, s *stack, account events.UUID, i int) (position uint64, acknowledged time.Time, err error) {
	m, err := events.NewUserProfileUpdated(newMeta(fmt.Sprintf("change-%d-%d", time.Now().UnixNano(), i)), account,
		events.UserProfileUpdated{Name: events.Some(fmt.Sprintf("name %d", i))})
	if err == nil {
		position, _, err = s.client.Publish(b.Context(), m)
	}
	return position, time.Now(), err
}

func message(subject string, header map[string][]string, data []byte) events.Message {
	return events.Message{Subject: subject, Header: header, Data: data}
}
