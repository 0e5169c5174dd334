package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
)

// score is what the objective's counters have.
type score struct{ Requests, Slow, Failed float64 }

func scoreOf(t *testing.T, a *api) (s score) {
	t.Helper()
	families, err := a.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch n := m.GetCounter().GetValue(); {
			case f.GetName() == "export_objective_requests_total":
				s.Requests = n
			case f.GetName() == "export_objective_missed_total" && m.GetLabel()[0].GetValue() == "slow":
				s.Slow = n
			case f.GetName() == "export_objective_missed_total":
				s.Failed = n
			}
		}
	}
	return s
}

// scored returns what was counted of one request. The counting follows the answer, and the
// histogram comes last.
func scored(t *testing.T, a *api, ask func()) score {
	t.Helper()
	before, observed := scoreOf(t, a), samples(t, a)["export_request_duration_seconds"]
	ask()
	testrun.Eventually(t, "the request is observed", func() bool {
		return samples(t, a)["export_request_duration_seconds"] == observed+1
	})
	after := scoreOf(t, a)
	return score{after.Requests - before.Requests, after.Slow - before.Slow, after.Failed - before.Failed}
}

// waits is a positionWaiter that knows one position, and fails for account panics.
type waits struct{ at uint64 }

func (w waits) WaitFor(_ context.Context, account events.UUID, position uint64, _ time.Duration) (uint64, bool, error) {
	if account == panics {
		return 0, false, errors.New("the database is away")
	}
	return w.at, position <= w.at, nil
}

// TestObjective: which requests count, and which of them missed the objective, by status.
// That a quick one is quick is not up to the test alone, so it is asked until it is.
func TestObjective(t *testing.T) {
	m := newMemory()
	v, err := auth.New(auth.Config{Issuer: issuer, Audience: "authenticated", Secret: sharedSecret}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a := startWith(t, m, v, func(c *Config) {
		c.Waiter, c.Origins = waits{at: 80}, []string{"https://page.example"}
	})
	of := func(account events.UUID, more ...string) []string {
		return append(more, "Authorization", bearer(t, account))
	}
	counts, fails, out := score{Requests: 1}, score{Requests: 1, Failed: 1}, score{}
	for _, test := range []struct {
		what, method, path string
		headers            []string
		err                error // of reading
		status             int
		want               score
	}{
		{"a document", "GET", exportPath, of(complete), nil, 200, counts},
		{"its header", "HEAD", exportPath, of(complete), nil, 200, counts},
		{"one that is known", "GET", exportPath, of(complete, "If-None-Match", "*"), nil, 304, counts},
		{"a condition that does not hold", "GET", exportPath, of(complete, "If-Match", `"x"`), nil, 412, counts},
		{"an account that nobody has heard of", "GET", exportPath, of(unknown), nil, 404, counts},
		{"an erased account", "GET", exportPath, of(erased), nil, 410, counts},
		{"a position that is there", "GET", exportPath + "?min_position=77", of(complete), nil, 200, counts},
		{"no wait", "GET", exportPath + "?min_position=77", of(complete, "Prefer", "wait=0"), nil, 200, counts},
		{"a wait without a position", "GET", exportPath, of(complete, "Prefer", "wait=5"), nil, 200, counts},

		{"an incomplete account", "GET", exportPath, of(incomplete), nil, 503, out},
		{"a position not reached", "GET", exportPath + "?min_position=90", of(complete), nil, 503, out},
		{"a wait", "GET", exportPath + "?min_position=77", of(complete, "Prefer", "wait=5"), nil, 200, out},
		{"a wait in vain", "GET", exportPath + "?min_position=90", of(complete, "Prefer", "wait=5"), nil, 503, out},

		{"no token", "GET", exportPath, nil, nil, 401, out},
		{"a wrong token", "GET", exportPath, []string{"Authorization", "Bearer x"}, nil, 401, out},
		{"a wrong position", "GET", exportPath + "?min_position=x", of(complete), nil, 400, out},
		{"a wrong query", "GET", exportPath + "?%zz", of(complete), nil, 400, out},
		{"another path", "GET", "/", nil, nil, 404, out},
		{"another method", "POST", exportPath, of(complete), nil, 405, out},
		{"the description", "GET", descriptionPath, nil, nil, 200, out},
		{"a preflight", "OPTIONS", exportPath, []string{"Origin", "https://page.example", "Access-Control-Request-Method", "GET"}, nil, 204, out},

		{"the database away", "GET", exportPath, of(complete), errors.New("no connection"), 503, fails},
		{"the database away for a position", "GET", exportPath + "?min_position=77", of(panics), nil, 503, fails},
		{"a wait for a database that is away", "GET", exportPath + "?min_position=77", of(panics, "Prefer", "wait=5"), nil, 503, out},
		{"a defect", "GET", exportPath, of(panics), nil, 500, fails},
	} {
		t.Run(test.what, func(t *testing.T) {
			m.fail(test.err)
			defer m.fail(nil)
			testrun.Eventually(t, fmt.Sprintf("%+v", test.want), func() bool {
				got := scored(t, a, func() {
					if status := a.ask(t, test.method, test.path, test.headers...).status; status != test.status {
						t.Fatalf("status %d, want %d", status, test.status)
					}
				})
				slow := got.Slow
				got.Slow = 0
				if got != test.want {
					t.Fatalf("got %+v, want %+v", got, test.want)
				}
				return slow == 0 // a busy machine may be slow
			})
		})
	}
}

// slowly is a memory whose documents are opened only once the objective is missed; with
// forever not even then.
type slowly struct {
	*memory
	forever bool
}

func (s slowly) OpenRange(ctx context.Context, account events.UUID, choose export.RangeFunc) (*export.Document, error) {
	if s.forever {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(firstByteObjective + time.Millisecond) // it is the time that counts
	return s.memory.OpenRange(ctx, account, choose)
}

func (s slowly) OpenGzip(ctx context.Context, account events.UUID, choose export.RangeFunc) (*export.Document, error) {
	return s.OpenRange(ctx, account, choose)
}

// TestSlowAnswersMissTheObjective: so does one that the client did not wait for.
func TestSlowAnswersMissTheObjective(t *testing.T) {
	a := start(t, slowly{memory: newMemory()})
	for _, account := range []events.UUID{complete, erased, unknown} {
		if d := cmp.Diff(score{Requests: 1, Slow: 1}, scored(t, a, func() { a.ask(t, "GET", exportPath, "Authorization", bearer(t, account)) })); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff(score{}, scored(t, a, func() { a.ask(t, "GET", exportPath, "Authorization", bearer(t, incomplete)) })); d != "" {
		t.Error(d)
	}
	a = start(t, slowly{memory: newMemory(), forever: true})
	gone := scored(t, a, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 2*firstByteObjective)
		defer cancel()
		if _, err := plain.Do(a.request(t, complete).WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
	if d := cmp.Diff(score{Requests: 1, Slow: 1}, gone); d != "" {
		t.Errorf("a client that has left: %s", d)
	}
}

// TestObjectiveIsExact: 50 ms are in time, and what is left out is left out however long
// it took.
func TestObjectiveIsExact(t *testing.T) {
	began := time.Unix(1_000, 0)
	answered := func(after time.Duration, w response) response {
		w.began, w.first = began, began.Add(after)
		return w
	}
	for _, test := range []struct {
		what string
		w    response
		took time.Duration
		want score
	}{
		{"in time, of a long document", answered(firstByteObjective, response{status: 200, reads: true}), time.Minute, score{Requests: 1}},
		{"late", answered(firstByteObjective+1, response{status: 200, reads: true}), firstByteObjective + 1, score{Requests: 1, Slow: 1}},
		{"late and failed", answered(time.Second, response{status: 503, reads: true, reason: reasonBusy}), time.Second, score{Requests: 1, Failed: 1}},
		{"no answer, by a defect", response{began: began}, time.Millisecond, score{Requests: 1, Failed: 1}},
		{"left in time", response{began: began, reads: true, clientClosed: true}, firstByteObjective, score{}},
		{"left later", response{began: began, reads: true, clientClosed: true}, firstByteObjective + 1, score{Requests: 1, Slow: 1}},
		{"left before its token was read", response{began: began, clientClosed: true}, time.Second, score{}},
		{"left while it waited", response{began: began, reads: true, waits: true, clientClosed: true}, time.Second, score{}},
		{"a wait", answered(time.Second, response{status: 200, reads: true, waits: true}), time.Second, score{}},
		{"incomplete", answered(time.Second, response{status: 503, reads: true, reason: reasonIncomplete}), time.Second, score{}},
		{"refused late", answered(time.Second, response{status: 401}), time.Second, score{}},
	} {
		t.Run(test.what, func(t *testing.T) {
			a := &api{reg: prometheus.NewRegistry()}
			newMetrics(a.reg).observe(&test.w, test.took)
			if d := cmp.Diff(test.want, scoreOf(t, a)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestUnreadRequestsAreCounted: what net/http answers by itself, before any handler, is
// counted by its status, and misses no objective, also where that is from 500.
func TestUnreadRequestsAreCounted(t *testing.T) {
	a := start(t, newMemory())
	get := func(rest string) string { return "GET " + exportPath + " HTTP/1.1\r\nHost: x\r\n" + rest + "\r\n" }
	for _, test := range []struct {
		request string
		status  int
	}{
		{get("no colon\r\n"), 400},
		{get("Expect: another\r\n"), 417},
		{get("X-Y: " + strings.Repeat("a", 64<<10) + "\r\n"), 431},
		{get("Transfer-Encoding: gzip\r\n"), 501},
		{"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
	} {
		for n := 1; n <= 2; n++ {
			if status, body := raw(t, a, test.request); status != test.status {
				t.Fatalf("got %d %s, want %d", status, body, test.status)
			}
			if got := a.answered(t, fmt.Sprint(test.status), reasonNone); got != n {
				t.Errorf("%d: %d are counted of %d", test.status, got, n)
			}
		}
	}
	if d := cmp.Diff(score{}, scoreOf(t, a)); d != "" {
		t.Error(d)
	}
	a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete))
	testrun.Eventually(t, "an answer of a handler is counted once", func() bool { return a.answered(t, "200", reasonNone) == 1 })
}
