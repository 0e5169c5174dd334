package acts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/oracle"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// timed is a message of the stream whose own time is known by its making.
type timed struct {
	events.Message
	at time.Time // to the microsecond, as the contract takes it; zero: it has no sound one
}

// stored publishes messages on a stream of their own. Positions count from 1.
func stored(t *testing.T, all []timed) *stream.Client {
	t.Helper()
	client, err := stream.Connect(t.Context(), stream.Config{URL: natsserver.ForTest(t).URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, err := client.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := client.PublishAll(t.Context(), func() (events.Message, bool) {
		if n == len(all) {
			return events.Message{}, false
		}
		n++
		return all[n-1].Message, true
	}); err != nil {
		t.Fatal(err)
	}
	return client
}

// holdEventTime compares, for each moment, every account's document with the oracle's
// fold of exactly the messages whose own time is not later, in stream order; and the
// messages that history lists with those of the account among them. It returns how many
// documents there were.
func holdEventTime(t *testing.T, client *stream.Client, all []timed, moments []time.Time) (documents int) {
	t.Helper()
	accounts := map[events.UUID]bool{}
	for _, m := range all {
		if to := events.ParseSubject(m.Subject); to.Kind == events.SubjectAccount {
			accounts[to.Account] = true
		}
	}
	for _, moment := range moments {
		want, listed, timeless := oracle.New(), map[events.UUID][]uint64{}, map[events.UUID]int{}
		for i, m := range all {
			to := events.ParseSubject(m.Subject)
			if m.at.IsZero() {
				timeless[to.Account]++
				continue
			}
			if m.at.After(moment) {
				continue
			}
			want.Apply(oracle.Message{Position: uint64(i + 1), Subject: m.Subject, Header: m.Header, Data: m.Data})
			listed[to.Account] = append(listed[to.Account], uint64(i+1))
		}
		at := AsOf{Time: moment, EventTime: true}
		for account := range accounts {
			should := want.Account(account.String())
			got, found, err := DocumentAsOf(t.Context(), client, account, at)
			if err != nil {
				t.Fatal(err)
			}
			differs := ""
			if should.Document != nil || got.Body != nil {
				differs = oracle.Diff(should.Document, got.Body)
			}
			if found != (should.State != oracle.NeverHeardOf) || found && (got.State.String() != string(should.State) || got.Position != should.Position) || differs != "" {
				t.Errorf("%s at %s: found %v, %v at %d; want %v at %d\n%s", account, moment, found, got.State, got.Position, should.State, should.Position, differs)
			}
			if should.State == oracle.Complete {
				documents++
			}
			if got.Timeless < timeless[account] {
				t.Errorf("%s at %s: %d messages without a time are told, want at least %d", account, moment, got.Timeless, timeless[account])
			}
			var positions []uint64
			n, err := History(t.Context(), client, account, at, func(e projections.HistoryEntry) error {
				positions = append(positions, e.Position)
				if e.At == nil || !e.At.GoTime().Equal(all[e.Position-1].at) {
					t.Errorf("message %d: own time %v, want %v", e.Position, e.At, all[e.Position-1].at)
				}
				return nil
			})
			if err != nil || !slices.Equal(positions, listed[account]) || n.Timeless != timeless[account] {
				t.Errorf("history of %s at %s: %v, %d without a time, %v; want %v, %d", account, moment, positions, n.Timeless, err, listed[account], timeless[account])
			}
		}
	}
	return documents
}

// TestBackfilledHistoryHasAPast: a history of ten years that was brought into the stream
// in one go is, at every moment of it, the document that those ten years had by then,
// while the stream's own timestamps know only today. The tier's are held against it, too.
func TestBackfilledHistoryHasAPast(t *testing.T) {
	account := events.UUID{1, 15: 1}
	start := time.Date(2014, 3, 25, 7, 0, 0, 0, time.UTC)
	var all []timed
	add := func(at time.Time, subject, typ, data string) {
		all = append(all, timed{events.Message{Subject: subject, Data: fmt.Appendf(nil, `{"specversion":"1.0","id":"%d","source":"/old","type":"controlplane.%s.v1","time":%q,"data":%s}`,
			len(all), typ, at.Format(time.RFC3339Nano), data)}, at})
	}
	own, tier := events.AccountSubject(account), events.TierSubject("pro")
	add(start, tier, "quota_tier.defined", `{"id":"pro","display_name":"First","max_concurrent_sandboxes":1,"daily_sandbox_creates":1,"daily_gb_hours":1}`)
	add(start, own, "user.registered", `{"email":"a@example.org","tier":"pro","quota_tier_id":"pro"}`)
	add(start, own, "team.created", `{"id":"0a000000-0000-0000-0000-000000000001","name":"T","slug":"t","quota_tier_id":"pro"}`)
	for year := 1; year <= 10; year++ {
		at := start.AddDate(year, 0, 0)
		add(at, own, "sandbox.created", fmt.Sprintf(`{"id":"sbx-%d","template":"t"}`, year))
		add(at.Add(time.Hour), own, "user.profile_updated", fmt.Sprintf(`{"name":"Name of year %d"}`, year))
		add(at.Add(2*time.Hour), tier, "quota_tier.defined", fmt.Sprintf(`{"id":"pro","display_name":"Of year %d","max_concurrent_sandboxes":1,"daily_sandbox_creates":1,"daily_gb_hours":1}`, year))
	}
	client := stored(t, all)
	var moments []time.Time
	for _, m := range all {
		moments = append(moments, m.at.Add(-time.Microsecond), m.at, m.at.Add(time.Microsecond))
	}
	if n := holdEventTime(t, client, all, moments); n < 60 {
		t.Errorf("%d documents were compared", n)
	}
	for at, found := range map[AsOf]bool{{Time: start.AddDate(5, 0, 0)}: false, {Time: start.AddDate(5, 0, 0), EventTime: true}: true} {
		if _, got, err := DocumentAsOf(t.Context(), client, account, at); err != nil || got != found {
			t.Errorf("%+v: found %v, %v; want %v", at, got, err, found)
		}
	}
}

// TestEventTimesInAnyOrder: random streams whose events' times have nothing to do with
// their order in the stream, erasures and messages without a sound time among them.
func TestEventTimesInAnyOrder(t *testing.T) {
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 20))
		g := workload.New(2000+seed, workload.Config{Accounts: 4, ErasureShare: 0.002})
		const span = 10 * 365 * 24 * time.Hour
		start := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
		var all []timed
		for len(all) < 600 {
			w := g.Next()
			at := start.Add(time.Duration(random.Int64N(int64(span))))
			m, sound := withTime(t, events.Message{Subject: w.Subject, Header: w.Header, Data: w.Data}, at.Format(time.RFC3339Nano))
			if !sound {
				continue // of an erased account's subject, say, that a test of times has no use for
			}
			all = append(all, timed{m, at.Truncate(time.Microsecond)})
			if random.IntN(40) == 0 {
				// The same without a time, or with one that is none.
				bad, _ := withTime(t, m, []string{"", "2020-01-01T00:00:00", "yesterday"}[random.IntN(3)])
				all = append(all, timed{bad, time.Time{}})
			}
		}
		client := stored(t, all)
		moments := []time.Time{start.Add(-time.Hour), start.Add(span)}
		for range 25 {
			moments = append(moments, start.Add(time.Duration(random.Int64N(int64(span)))), all[random.IntN(len(all))].at)
		}
		moments = slices.DeleteFunc(moments, time.Time.IsZero)
		if n := holdEventTime(t, client, all, moments); n < 20 {
			t.Errorf("seed %d: %d documents were compared", seed, n)
		}
	}
}

// withTime gives a message another time of its own; "" for none. It is done without the
// means of package events, and sound is false where the message has no JSON object to
// change.
func withTime(t *testing.T, m events.Message, at string) (_ events.Message, sound bool) {
	t.Helper()
	header := map[string][]string{}
	for name, values := range m.Header {
		switch {
		case !strings.EqualFold(name, "ce-time"):
			header[name] = values
		case at != "":
			header[name] = []string{at}
		}
	}
	m.Header = header
	var members map[string]json.RawMessage
	if json.Unmarshal(m.Data, &members) != nil || members["specversion"] == nil {
		return m, len(header) > 1 // in binary mode
	}
	delete(members, "time")
	if at != "" {
		members["time"], _ = json.Marshal(at)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(members); err != nil {
		t.Fatal(err)
	}
	return events.Message{Subject: m.Subject, Header: m.Header, Data: b.Bytes()}, true
}
