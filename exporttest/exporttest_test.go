package exporttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/events"
)

// This package's tests have no TestMain on purpose, as most packages of producers do.

const source = "/exporttest"

// must returns what a constructor made.
func must(t *testing.T) func(events.Message, error) events.Message {
	return func(m events.Message, err error) events.Message {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// register publishes what a new account takes, and returns it.
func register(t *testing.T, x *System, name string) (account events.UUID, last uint64) {
	t.Helper()
	made := must(t)
	account = events.NewUUID()
	x.Publish(t, made(events.NewUserRegistered(events.NewMeta(source), account,
		events.UserRegistered{Email: name + "@example.org", Tier: "free", QuotaTierID: "free", Name: &name})))
	x.Publish(t, made(events.NewTeamCreated(events.NewMeta(source), account,
		events.TeamCreated{ID: events.NewUUID(), Name: "Team", Slug: "team", QuotaTierID: "free"})))
	return account, x.Publish(t, made(events.NewQuotaTierDefined(events.NewMeta(source),
		events.QuotaTierDefined{ID: "free", DisplayName: "Free of " + name})))
}

type document struct {
	User      struct{ ID, Name string }
	QuotaTier struct {
		DisplayName string `json:"display_name"`
	} `json:"quota_tier"`
	Sandboxes []struct{ ID, Status string }
}

// TestEachEventIsSeen: a document that is asked for after an acknowledgement holds the
// event, of the account as of its tier, and one that is asked for without holds all that
// was published before.
func TestEachEventIsSeen(t *testing.T) {
	t.Parallel()
	x := Start(t)
	account, tier := register(t, x, "ada")
	var d document
	if x.Export(t, account, After(tier)).Decode(t, &d); d.User.ID != account.String() || d.User.Name != "ada" || d.QuotaTier.DisplayName != "Free of ada" {
		t.Errorf("the document has %+v", d)
	}
	made := must(t)
	x.Publish(t, made(events.NewSandboxCreated(events.NewMeta(source), account, events.SandboxCreated{ID: "sbx", Template: "base"})))
	for _, status := range []string{"paused", "archived", "snapshotting"} {
		position := x.Publish(t, made(events.NewSandboxStatusChanged(events.NewMeta(source), account, events.SandboxStatusChanged{ID: "sbx", Status: status})))
		got := x.Export(t, account, After(position))
		if got.Decode(t, &d); len(d.Sandboxes) != 1 || d.Sandboxes[0].Status != status || got.Position != position || got.Parked != 0 {
			t.Errorf("after position %d the document, at %d, has %+v", position, got.Position, d.Sandboxes)
		}
	}
	for _, name := range []string{"Other", "Another"} {
		x.Publish(t, made(events.NewQuotaTierDefined(events.NewMeta(source), events.QuotaTierDefined{ID: "free", DisplayName: name})))
		if x.Export(t, account).Decode(t, &d); d.QuotaTier.DisplayName != name {
			t.Errorf("after all that was published the tier is %+v, want %s", d.QuotaTier, name)
		}
	}
}

// TestARetryIsDropped: the same message has one position, however often it is published.
func TestARetryIsDropped(t *testing.T) {
	t.Parallel()
	x := Start(t)
	m := must(t)(events.NewUserEmailVerified(events.NewMeta(source), events.NewUUID()))
	if first, second := x.Publish(t, m), x.Publish(t, m); first != second {
		t.Errorf("published twice, the event is at %d and at %d", first, second)
	}
}

// TestSystemsShareNothing: what is published to one is never heard of in another.
func TestSystemsShareNothing(t *testing.T) {
	t.Parallel()
	var x [2]*System
	for i := range x {
		x[i] = Start(t)
	}
	var accounts [2]events.UUID
	for i := range x {
		accounts[i], _ = register(t, x[i], fmt.Sprint("user", i))
	}
	for i := range x {
		var d document
		if x[i].Export(t, accounts[i]).Decode(t, &d); d.User.Name != fmt.Sprint("user", i) {
			t.Errorf("system %d has %+v", i, d)
		}
		if a := x[i].Get(t, accounts[1-i]); a.Status != http.StatusNotFound {
			t.Errorf("system %d answers %d for the account of the other: %s", i, a.Status, a.Body)
		}
	}
}

// TestWhatHasNoDocument: Get gives whatever the API answers, and Export fails with it.
func TestWhatHasNoDocument(t *testing.T) {
	t.Parallel()
	x := Start(t)
	made := must(t)
	account := events.NewUUID()
	for _, step := range []struct {
		event  events.Message
		status int
		says   string
	}{
		{events.Message{}, http.StatusNotFound, "account-not-found"},
		{made(events.NewUserRegistered(events.NewMeta(source), account, events.UserRegistered{Email: "a@example.org", Tier: "t", QuotaTierID: "q"})),
			http.StatusServiceUnavailable, `"missing":["team"`},
		{made(events.NewAccountErased(events.NewMeta(source), account)), http.StatusGone, "account-erased"},
	} {
		if step.event.Subject != "" {
			x.Publish(t, step.event)
		}
		if a := x.Get(t, account); a.Status != step.status || !strings.Contains(string(a.Body), step.says) {
			t.Errorf("the API answers %d: %s, want %d and %s", a.Status, a.Body, step.status, step.says)
		}
		failure := failureOf(t, func(t testing.TB) { x.Export(t, account) })
		if !strings.Contains(failure, fmt.Sprint("account ", account, " has no document: status ", step.status)) || !strings.Contains(failure, step.says) {
			t.Errorf("Export fails with %q", failure)
		}
	}
}

// TestParkedEventsAreCounted: what the projector could not fold is told.
func TestParkedEventsAreCounted(t *testing.T) {
	t.Parallel()
	x := Start(t)
	account, _ := register(t, x, "ada")
	if _, err := x.JetStream.Publish(t.Context(), events.AccountSubject(account), []byte(`{"specversion":"0.3"}`)); err != nil {
		t.Fatal(err)
	}
	if d := x.Export(t, account); d.Parked != 1 {
		t.Errorf("%d are parked, want 1", d.Parked)
	}
}

// TestAProjectorThatEndsIsTold: nobody waits for what cannot come.
func TestAProjectorThatEndsIsTold(t *testing.T) {
	t.Parallel()
	x := Start(t)
	account, last := register(t, x, "ada")
	x.Export(t, account)
	_ = x.projector.Kill()
	<-x.projector.Ended()
	failure := failureOf(t, func(t testing.TB) { x.Export(t, account, After(last+1)) })
	if !strings.Contains(failure, "projector run has ended") {
		t.Errorf("Export fails with %q", failure)
	}
}

// TestNothingIsLeft: when the last test has ended, so have all servers and programs, and
// the database is gone; the next test starts new ones.
func TestNothingIsLeft(t *testing.T) {
	for range 2 {
		var x *System
		t.Run("system", func(t *testing.T) {
			x = Start(t)
			if a := x.Get(t, events.NewUUID()); a.Status != http.StatusNotFound {
				t.Errorf("status %d: %s", a.Status, a.Body)
			}
		})
		if t.Failed() || x == nil { // skipped
			return
		}
		for what, address := range map[string]string{"the API": x.URL, "NATS": x.NATSURL} {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			if conn, err := net.DialTimeout("tcp", u.Host, time.Second); err == nil {
				conn.Close()
				t.Errorf("%s is still there", what)
			}
		}
		if _, open := <-x.projector.Ended(); open {
			t.Error("the projector still runs")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, x.DatabaseURL)
		if err == nil {
			conn.Close(ctx)
			t.Error("the database is still there")
			continue
		}
		var answer *pgconn.PgError
		if answered := errors.As(err, &answer); answered != (os.Getenv("DATABASE_URL") != "") || answered && answer.Code != "3D000" { // invalid_catalog_name
			t.Errorf("the server that was started is to be stopped, and that of DATABASE_URL is not: %v", err)
		}
	}
}

// failureOf is the message with which the function fails its test.
func failureOf(t *testing.T, fails func(testing.TB)) string {
	r := &recorded{TB: t}
	var ended sync.WaitGroup
	ended.Go(func() { fails(r) })
	ended.Wait()
	return r.failure
}

// recorded is a testing.TB that records a failure.
type recorded struct {
	testing.TB
	failure string
}

func (r *recorded) Fatalf(format string, a ...any) {
	r.failure = fmt.Sprintf(format, a...)
	runtime.Goexit()
}
