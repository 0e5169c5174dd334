package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/oracle"
	"accountexport/internal/workload"
	"accountexport/readmodel/admin"
)

// rawProducer makes messages as any producer might, right or wrong.
type rawProducer struct {
	random *rand.Rand
	n      int
}

const earlier = "2026-03-25T07:00:00Z"

func (w *rawProducer) uuid() string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", w.random.Uint32(), w.random.Uint64()>>16)
}

// event is a structured CloudEvent.
func (w *rawProducer) event(subject, kind, at, data string) events.Message {
	w.n++
	return events.Message{Subject: "controlplane." + subject, Data: fmt.Appendf(nil,
		`{"specversion":"1.0","id":"hostile-%d","source":"/test","type":"controlplane.%s","time":"%s","data":%s}`, w.n, kind, at, data)}
}

func (w *rawProducer) user(account, tier string) events.Message {
	return w.event("account."+account, "user.registered.v1", earlier, `{"email":"a@example.org","tier":"t","quota_tier_id":"`+tier+`"}`)
}

func (w *rawProducer) team(account, team, tier string) events.Message {
	return w.event("account."+account, "team.created.v1", earlier, `{"id":"`+team+`","name":"n","slug":"s","quota_tier_id":"`+tier+`"}`)
}

func (w *rawProducer) tier(id string, limit int) events.Message {
	return w.event("quota_tier."+id, "quota_tier.defined.v1", earlier,
		fmt.Sprintf(`{"id":"%s","display_name":"d","max_concurrent_sandboxes":%d,"daily_sandbox_creates":1,"daily_gb_hours":0.5}`, id, limit))
}

// streamPart is a share of a stream, with its own messages in order.
type streamPart struct {
	name string
	n    int
	next func(i int) events.Message
}

// outcomeScript has every outcome that a message can have (contract §3), and is compared with the
// oracle at once.
func (w *rawProducer) outcomeScript(t *testing.T) streamPart {
	t.Helper()
	a, b, gone, team, other, key := w.uuid(), w.uuid(), w.uuid(), w.uuid(), w.uuid(), w.uuid()
	to := func(account, kind, data string) events.Message {
		return w.event("account."+account, kind, earlier, data)
	}
	apiKey := func(team string) string {
		return `{"id":"` + key + `","team_id":"` + team + `","key_prefix":"p","name":"n","scope":"s"}`
	}
	ofAnother := to(a, "user.restored.v1", `{}`)
	ofAnother.Data = []byte(strings.Replace(string(ofAnother.Data), `"source"`, `"partitionkey":"`+b+`","source"`, 1))
	script := []struct {
		want oracle.Outcome
		m    events.Message
	}{
		{oracle.Applied, w.tier("script", 1)},
		{oracle.Deferred, to(a, "user.restored.v1", `{}`)},
		{oracle.Deferred, to(a, "team.updated.v1", `{"id":"`+team+`","name":"later"}`)},
		{oracle.Deferred, to(a, "team.updated.v1", `{"id":"`+other+`","name":"never"}`)},
		{oracle.Deferred, to(a, "api_key.revoked.v1", `{"id":"`+key+`"}`)},
		{oracle.Deferred, to(a, "sandbox.started.v1", `{"id":"s"}`)},
		{oracle.Applied, w.user(a, "script")},
		{oracle.Duplicate, w.user(a, "script")},
		{oracle.Applied, w.team(a, team, "script")},
		{oracle.Duplicate, w.team(a, team, "script")},
		{oracle.Parked, w.team(a, other, "script")},
		{oracle.Parked, to(a, "team.updated.v1", `{"id":"`+other+`","name":"x"}`)},
		{oracle.Parked, to(a, "api_key.created.v1", apiKey(other))},
		{oracle.Applied, to(a, "api_key.created.v1", apiKey(team))},
		{oracle.Duplicate, to(a, "api_key.created.v1", apiKey(team))},
		{oracle.Applied, to(a, "sandbox.created.v1", `{"id":"s","template":"t"}`)},
		{oracle.Duplicate, to(a, "sandbox.created.v1", `{"id":"s","template":"u"}`)},
		{oracle.Ignored, to(a, "sandbox.resized.v9", `"whatever"`)},
		{oracle.Parked, to(a, "quota_tier.defined.v1", `{}`)},
		{oracle.Parked, to(a, "sandbox.created.v1", `{"id":"u"}`)},
		{oracle.Parked, to(a, "sandbox.created.v1", `[]`)},
		{oracle.Parked, ofAnother},
		{oracle.Parked, events.Message{Subject: "controlplane.account." + a, Data: []byte("no event")}},
		{oracle.Parked, events.Message{Subject: "controlplane.account." + a, Header: map[string][]string{"ce-specversion": {"0.3"}}, Data: []byte("{}")}},
		{oracle.Parked, w.event("account."+strings.ToUpper(b)+"A", "user.restored.v1", earlier, `{}`)},
		{oracle.Parked, w.event("nothing."+a, "user.restored.v1", earlier, `{}`)},
		{oracle.Parked, w.event("quota_tier.x", "quota_tier.defined.v1", earlier, `{"id":"y","display_name":"d","max_concurrent_sandboxes":1,"daily_sandbox_creates":1,"daily_gb_hours":0.5}`)},
		{oracle.Parked, w.event("quota_tier.x", "user.restored.v1", earlier, `{}`)},
		{oracle.Applied, w.user(gone, "script")},
		{oracle.Applied, to(gone, "account.erased.v1", `{}`)},
		{oracle.Ignored, w.user(gone, "script")},
		{oracle.Ignored, events.Message{Subject: "controlplane.account." + gone, Data: []byte("no event")}},
		{oracle.Ignored, to(gone, "account.erased.v1", `{}`)},
	}
	fold := oracle.New()
	for i, line := range script {
		r := fold.Apply(oracle.Message{Position: uint64(i + 1), Subject: line.m.Subject, Header: line.m.Header, Data: line.m.Data})
		if r.Outcome != line.want {
			t.Errorf("line %d, %s: the oracle has %s, want %s", i, line.m.Data, r.Outcome, line.want)
		}
	}
	return streamPart{"every outcome", len(script), func(i int) events.Message { return script[i].m }}
}

// TestHostileStreams folds with the least memory, all mixed: every outcome, a flood on one account,
// an account whose messages are all parked, tens of thousands of events that wait for what never
// late, messages as large as NATS allows, thousands of tiers, and wrong clocks. The projector is
// killed in the middle, and the database is slow until everything is read. The long form has more
// of everything, and with CHAOS a million events wait.
func TestHostileStreams(t *testing.T) {
	t.Parallel()
	waitForOne, waitForMany, large, floods, parked, tiers, slowly := 20_000, 5000, 200, 3000, 1000, 2500, 12_000_000
	if testrun.Long() {
		waitForOne, waitForMany, large, floods, parked, tiers, slowly = 150_000, 30_000, 500, 15_000, 5000, 10_000, 4_000_000
	}
	if os.Getenv("CHAOS") != "" {
		waitForOne, waitForMany = 1_000_000, 200_000
	}
	const some, most = 50, 128 << 20
	s := newSystem(t)
	settings := maps.Clone(s.settings)
	settings["MEMORY_LIMIT"] = "128MiB"
	settings["DATABASE_URL"] = s.slowDatabase(t, slowly) // everything that can queue does
	w := &rawProducer{random: rand.New(rand.NewPCG(9, 9))}
	hot := workload.NewHotAccount(91, workload.HotConfig{Sandboxes: 2000, Keys: 300, UsageDays: 500})
	mixed := workload.New(92, workload.Config{Accounts: 60, HostileShare: 0.5, ErasureShare: 0.01, LargeShare: 0.01})
	of := func(m workload.Message) events.Message {
		return events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}
	}
	one, lonely, bad, heavy, early, odd := w.uuid(), w.uuid(), w.uuid(), w.uuid(), w.uuid(), w.uuid()
	metadata := func(i int) string { return fmt.Sprintf(`{"n":%d,"x":"%s"}`, i, strings.Repeat("x", 60_000)) }
	times := []string{"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "0000-12-31T23:59:59Z", "10000-01-01T00:00:00Z",
		"0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2016-12-31T23:59:60Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z",
		"2026-02-29T00:00:00Z", "2024-02-29T12:00:00+14:00", "2106-02-07T06:28:16Z", "-0001-01-01T00:00:00Z", "2026-03-25T24:00:00Z"}
	parts := []streamPart{
		w.outcomeScript(t),
		{"random and hostile", 3000, func(int) events.Message { return of(mixed.Next()) }},
		{"one hot account", floods, func(int) events.Message { return of(hot.Next()) }},
		{"parked, every one", parked, func(i int) events.Message {
			return w.event("account."+bad, "sandbox.started.v1", earlier, fmt.Sprintf(`{"id":%d}`, i))
		}},
		{"waiting for one", waitForOne, func(i int) events.Message {
			if i%2 == 0 {
				return w.event("account."+one, "sandbox.metadata_updated.v1", earlier, fmt.Sprintf(`{"id":"never","metadata":{"n":%d}}`, i))
			}
			return w.event("account."+one, "user.abuse_flags_changed.v1", earlier, fmt.Sprintf(`{"flags":{"f%d":%d}}`, i%50, i))
		}},
		{"waiting for many", waitForMany, func(i int) events.Message {
			return w.event("account."+lonely, "sandbox.started.v1", earlier, fmt.Sprintf(`{"id":"never-%d"}`, i))
		}},
		{"large and waiting", large, func(i int) events.Message {
			return w.event("account."+early, "sandbox.metadata_updated.v1", earlier, fmt.Sprintf(`{"id":"early-%d","metadata":%s}`, i, metadata(i)))
		}},
		{"large", large + 2, func(i int) events.Message {
			switch i {
			case 0:
				return w.user(heavy, "tier-1")
			case 1:
				return w.team(heavy, w.uuid(), "tier-1")
			}
			return w.event("account."+heavy, "sandbox.created.v1", earlier, fmt.Sprintf(`{"id":"heavy-%d","template":"t","metadata":%s}`, i-2, metadata(i)))
		}},
		{"as large as NATS takes it", 40, func(i int) events.Message {
			m := w.event("account."+w.uuid(), []string{"user.registered.v1", "no.such.v1"}[i%2], earlier,
				`{"email":"a@example.org","tier":"t","quota_tier_id":"free","x":"`+strings.Repeat("x", 1<<20-400)+`"}`)
			if i%4 == 0 {
				m.Data = append(m.Data, ']') // the message is parked with its payload
			}
			return m
		}},
		{"tiers", 2 * tiers, func(i int) events.Message { return w.tier(fmt.Sprintf("tier-%d", i*7%tiers), i) }},
		{"of those tiers", 2000, func(i int) events.Message {
			account, tier := fmt.Sprintf("%08x-0000-4000-8000-000000000001", i/2), fmt.Sprintf("tier-%d", i/2*9)
			if i%2 == 0 {
				return w.user(account, tier)
			}
			return w.team(account, w.uuid(), tier)
		}},
		{"clocks", 5 * len(times), func(i int) events.Message {
			at := times[i%len(times)]
			switch i / len(times) {
			case 0:
				return w.event("account."+odd, "sandbox.created.v1", at, fmt.Sprintf(`{"id":"odd-%d","template":"t"}`, i))
			case 1:
				return w.event("account."+odd, "sandbox.started.v1", at, fmt.Sprintf(`{"id":"odd-%d"}`, i%3))
			case 2:
				return w.event("account."+odd, "user.deletion_scheduled.v1", earlier, `{"delete_scheduled_at":"`+at+`"}`)
			case 3:
				return w.event("account."+odd, "user.registered.v1", at, `{"email":"a@example.org","tier":"t","quota_tier_id":"tier-2"}`)
			}
			return w.event("account."+odd, "team.created.v1", at, `{"id":"`+odd+`","name":"n","slug":"s","quota_tier_id":"tier-2"}`)
		}},
	}
	var order []int // indexes of parts, shuffled
	for i, p := range parts {
		for range p.n {
			order = append(order, i)
		}
	}
	w.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	done := make([]int, len(parts))
	publish := func(order []int) {
		s.publishEach(t, len(order), func(i int) (events.Message, error) {
			p := order[i]
			done[p]++
			return parts[p].next(done[p] - 1), nil
		})
	}
	run := func() *process { return launch(t, "projector", settings, "run") }
	within := func(p *process) {
		t.Helper()
		used, err := p.peakMemory()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("at most %d of %d MiB", used>>20, most>>20)
		if used > most {
			t.Errorf("%d bytes, %d too many", used, used-most)
		}
	}
	projector := run()
	publish(order[:len(order)/2])
	within(projector)
	projector.kill()
	publish(order[len(order)/2:])
	projector = run()
	eventually(t, "everything projected", 3*time.Minute, s.caughtUp)
	within(projector)
	projector.kill() // so that what waits has to be loaded from the database

	waiting := func(account string) (rows int, bytes int64) {
		t.Helper()
		err := s.pool.QueryRow(context.Background(), `
SELECT count(*), coalesce(sum(length(patch)), 0) FROM export_g1.account_waiting WHERE account_id = $1`, account).Scan(&rows, &bytes)
		if err != nil {
			t.Fatal(err)
		}
		return rows, bytes
	}
	if rows, bytes := waiting(one); rows != 2 || bytes > 4096 {
		t.Errorf("%d events wait for two entities in %d rows of %d bytes", waitForOne, rows, bytes)
	}
	if rows, _ := waiting(lonely); rows != waitForMany {
		t.Errorf("%d events wait for as many entities in %d rows", waitForMany, rows)
	}
	settings["DATABASE_URL"] = s.database
	projector = run()
	// Some of what was waited for late, and every item of the large accounts changes.
	late := []streamPart{
		{"the one", 1, func(int) events.Message {
			return w.event("account."+one, "sandbox.created.v1", earlier, `{"id":"never","template":"t"}`)
		}},
		{"its user", 1, func(int) events.Message { return w.user(one, "tier-3") }},
		{"its team", 1, func(int) events.Message { return w.team(one, w.uuid(), "tier-3") }},
		{"some of the many", some, func(i int) events.Message {
			return w.event("account."+lonely, "sandbox.created.v1", earlier, fmt.Sprintf(`{"id":"never-%d","template":"t"}`, i*97))
		}},
		{"their user", 1, func(int) events.Message { return w.user(lonely, "tier-3") }},
		{"their team", 1, func(int) events.Message { return w.team(lonely, w.uuid(), "tier-3") }},
		{"all that is large", large, func(i int) events.Message {
			return w.event("account."+heavy, "sandbox.started.v1", earlier, fmt.Sprintf(`{"id":"heavy-%d"}`, i*11%large))
		}},
		{"all that is large and waits", large, func(i int) events.Message {
			return w.event("account."+early, "sandbox.created.v1", earlier, fmt.Sprintf(`{"id":"early-%d","template":"t"}`, i*11%large))
		}},
	}
	total := len(order)
	parts, done, order = late, make([]int, len(late)), nil
	for i, p := range parts {
		for range p.n {
			order = append(order, i)
		}
	}
	w.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	publish(order)
	eventually(t, "everything projected", 3*time.Minute, s.caughtUp)
	within(projector)
	if rows, _ := waiting(one); rows != 0 {
		t.Errorf("%d rows wait for what has come", rows)
	}
	if rows, _ := waiting(lonely); rows != waitForMany-some {
		t.Errorf("%d rows wait, want %d", rows, waitForMany-some)
	}
	began := time.Now()
	accounts, messages := s.checkAgainstOracle(t)
	if messages != total+len(order) {
		t.Errorf("the stream holds %d messages, %d were published", messages, total+len(order))
	}
	t.Logf("%d messages, %d accounts compared in %s", messages, accounts, time.Since(began).Round(time.Second))
	st, err := admin.ReadStatus(t.Context(), s.pool)
	if err != nil {
		t.Fatal(err)
	}
	for i := range st.Partitions[0].Tally {
		n := int64(0)
		for _, p := range st.Partitions {
			n += int64(p.Tally[i])
		}
		if n == 0 {
			t.Errorf("outcome %d did not occur", i)
		}
	}
}
