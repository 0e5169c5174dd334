package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/outbox"
)

// Two accounts, and a text that is in every message that publishMarked and
// publishStray publish, so that checkNoTraces can look for it.
const (
	someone = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	another = "5c90c3cc-0d44-4b50-8888-8dd25736052a"
	marker  = "erase-marker-7f3a"
)

// publish publishes n messages of a workload, paced over about the duration.
func (s *system) publish(ctx context.Context, g *workload.Generator, n int, over time.Duration) error {
	began := time.Now()
	i := 0
	_, err := s.client.PublishAll(ctx, func() (events.Message, bool) {
		if i == n || ctx.Err() != nil {
			return events.Message{}, false
		}
		if wait := time.Until(began.Add(over * time.Duration(i) / time.Duration(n))); wait > 5*time.Millisecond {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		i++
		m := g.Next()
		return events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}, true
	})
	return err
}

// mustPublish publishes the next n messages of a workload.
func (s *system) mustPublish(t testing.TB, g *workload.Generator, n int) {
	t.Helper()
	if err := s.publish(t.Context(), g, n, 0); err != nil {
		t.Fatal(err)
	}
}

// publishOver publishes the next n messages of a workload in the background, paced
// over about the duration; wait waits for the last of them.
func (s *system) publishOver(t testing.TB, g *workload.Generator, n int, over time.Duration) (wait func()) {
	published := make(chan error, 1)
	go func() { published <- s.publish(t.Context(), g, n, over) }()
	return func() {
		t.Helper()
		if err := <-published; err != nil {
			t.Fatal(err)
		}
	}
}

// publishUntilStopped publishes n messages of a workload per interval in the
// background; stop ends that and gives how many were published.
func (s *system) publishUntilStopped(t testing.TB, g *workload.Generator, n int, interval time.Duration) (stop func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	total, published := 0, make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := s.publish(t.Context(), g, n, interval); err != nil {
				published <- err
				return
			}
			total += n
		}
		published <- nil
	}()
	return func() int {
		t.Helper()
		cancel()
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		return total
	}
}

// publishAndWait publishes fifty ordinary messages and waits until they are projected.
func (s *system) publishAndWait(t *testing.T) {
	t.Helper()
	eventually(t, "something to be published", time.Minute, func(ctx context.Context) error {
		return s.publish(ctx, workload.New(78, workload.Config{Accounts: 5}), 50, 0)
	})
	s.waitProjected(t)
}

// uuid parses an account's id.
func uuid(t testing.TB, s string) events.UUID {
	t.Helper()
	id, err := events.ParseUUID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// addressOf is the e-mail address of an account that publishMarked makes.
func addressOf(account string) string { return account[:2] + "@" + marker + ".example" }

// newMeta is an event's envelope with this id, as of now.
func newMeta(id string) events.Meta {
	return events.Meta{ID: id, Source: "/test", Time: events.TimeOf(time.Now())}
}

// publishEvent publishes an event that was made without an error, and gives its
// position.
func (s *system) publishEvent(t testing.TB, m events.Message, err error) (position uint64) {
	t.Helper()
	if err == nil {
		position, err = s.client.PublishRaw(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// publishSandbox publishes that an account has created a sandbox with this id.
func (s *system) publishSandbox(t testing.TB, account, id string) (position uint64) {
	t.Helper()
	m, err := events.NewSandboxCreated(newMeta(id), uuid(t, account), events.SandboxCreated{ID: id, Template: "x"})
	return s.publishEvent(t, m, err)
}

// publishMarked publishes n messages of an account with the marker in them: its registration, and
// then sandboxes.
func (s *system) publishMarked(t *testing.T, account string, n int) {
	t.Helper()
	id := uuid(t, account)
	for i := range n {
		meta := newMeta(fmt.Sprint(account, time.Now().UnixNano(), i))
		m, err := events.NewUserRegistered(meta, id, events.UserRegistered{Email: addressOf(account), Tier: "free", QuotaTierID: "free"})
		if i > 0 {
			m, err = events.NewSandboxCreated(meta, id, events.SandboxCreated{ID: fmt.Sprint("sbx-", marker, i), Template: marker})
		}
		s.publishEvent(t, m, err)
	}
}

// publishStray publishes a message on a mistyped subject with the account's id and e-mail address.
func (s *system) publishStray(t *testing.T, account string) {
	t.Helper()
	s.publishRaw(t, "controlplane.account."+strings.ToUpper(account), `{"email":"`+addressOf(account)+`"}`)
}

// publishRaw publishes any data on any subject, and gives the message's position.
func (s *system) publishRaw(t testing.TB, subject, data string) (position uint64) {
	t.Helper()
	return s.publishEvent(t, events.Message{Subject: subject, Data: []byte(data)}, nil)
}

// publishComplete publishes the tier, user and team that an account needs to have a document.
func (s *system) publishComplete(t *testing.T, account events.UUID) {
	t.Helper()
	meta := newMeta("s")
	m, err := events.NewQuotaTierDefined(meta, events.QuotaTierDefined{ID: "someones", DisplayName: "Someone's"})
	s.publishEvent(t, m, err)
	m, err = events.NewUserRegistered(meta, account, events.UserRegistered{Email: "someone@example.org", Tier: "t", QuotaTierID: "someones"})
	s.publishEvent(t, m, err)
	m, err = events.NewTeamCreated(meta, account, events.TeamCreated{ID: account, Name: "n", Slug: "s", QuotaTierID: "someones"})
	s.publishEvent(t, m, err)
}

// publishProfile publishes a change of an account's name, and returns its position.
func (s *system) publishProfile(t *testing.T, id events.UUID, name string) uint64 {
	t.Helper()
	m, err := profileUpdate(id, name)
	if err != nil {
		t.Fatal(err)
	}
	position, _, err := s.client.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// profileUpdate is the event of a change of an account's name.
func profileUpdate(id events.UUID, name string) (events.Message, error) {
	return events.NewUserProfileUpdated(newMeta(fmt.Sprint("profile-", name, time.Now().UnixNano())), id,
		events.UserProfileUpdated{Name: events.Some(name)})
}

// publishSandboxEvent publishes that a sandbox was created, or has changed its status.
func (s *system) publishSandboxEvent(t *testing.T, account events.UUID, i int, what string) uint64 {
	t.Helper()
	meta := newMeta(fmt.Sprint(what, i, "-", time.Now().UnixNano()))
	id := fmt.Sprint("sbx-", i)
	m, err := events.NewSandboxStatusChanged(meta, account, events.SandboxStatusChanged{ID: id, Status: fmt.Sprint("status ", time.Now().UnixNano())})
	if what != "status" {
		m, err = events.NewSandboxCreated(meta, account, events.SandboxCreated{ID: id, Template: what,
			Metadata: []byte(`{"note":"` + strings.Repeat("n", 600) + `"}`)})
	}
	if err != nil {
		t.Fatal(err)
	}
	position, _, err := s.client.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// publishLarge publishes a complete account with this many sandboxes.
func (s *system) publishLarge(t *testing.T, sandboxes int) {
	t.Helper()
	account := uuid(t, someone)
	s.publishEach(t, sandboxes+3, func(i int) (events.Message, error) {
		meta := newMeta(fmt.Sprint("large-", i))
		switch i {
		case 0:
			return events.NewUserRegistered(meta, account, events.UserRegistered{Email: "someone@example.org", Tier: "free", QuotaTierID: "large"})
		case 1:
			return events.NewTeamCreated(meta, account, events.TeamCreated{ID: account, Name: "Team", Slug: "team", QuotaTierID: "large"})
		case 2:
			return events.NewQuotaTierDefined(meta, events.QuotaTierDefined{ID: "large", DisplayName: "Large"})
		}
		return events.NewSandboxCreated(meta, account, events.SandboxCreated{ID: fmt.Sprint("sbx-", i+1), Template: strings.Repeat("x", 100)})
	})
}

// publishEach publishes the messages that next makes of 0 to n-1.
func (s *system) publishEach(t testing.TB, n int, next func(int) (events.Message, error)) {
	t.Helper()
	i := 0
	_, err := s.client.PublishAll(t.Context(), func() (events.Message, bool) {
		if i == n {
			return events.Message{}, false
		}
		m, err := next(i)
		if err != nil {
			t.Error(err)
		}
		i++
		return m, err == nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// migrateOutbox makes an outbox in the database, and returns a connection that the caller has to
// close.
func (s *system) migrateOutbox(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.database)
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Migrate(t.Context(), conn); err != nil {
		conn.Close(context.Background())
		t.Fatal(err)
	}
	return conn
}
