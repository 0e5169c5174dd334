package api

import (
	"context"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
)

func sharedVerifier(t *testing.T) *auth.Verifier {
	t.Helper()
	v, err := auth.New(auth.Config{Issuer: issuer, Audience: "authenticated", Secret: sharedSecret}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRateLimits(t *testing.T) {
	a := startWith(t, newMemory(), sharedVerifier(t), func(c *Config) {
		c.AccountRate = Rate{0.01, 2}
		c.AddressRate = Rate{0.01, 6}
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	ask := func(account events.UUID, from string) answer {
		return a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "X-Forwarded-For", from)
	}
	for i, want := range []int{200, 200, 429} {
		got := ask(complete, "192.0.2.1")
		if got.status != want || len(got.header["Ratelimit"]) != 2 || len(got.header["Ratelimit-Policy"]) != 2 {
			t.Errorf("request %d: %d %v, want %d", i, got.status, got.header, want)
		}
		if want == 429 {
			checkProblem(t, got, 429, "too-many-requests")
			if after, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || after < 90 || after > 100 {
				t.Errorf("Retry-After: %s", got.header.Get("Retry-After"))
			}
		}
	}
	if got := ask(parked, "192.0.2.1"); got.status != 200 {
		t.Errorf("another account: %d", got.status)
	}
	for range 2 {
		a.ask(t, "GET", exportPath, "X-Forwarded-For", "192.0.2.1") // it has no token and is counted all the same
	}
	if got := ask(incomplete, "192.0.2.1"); got.status != 429 {
		t.Errorf("the address is past its limit: %d", got.status)
	}
	// What a client claims before the proxy's own entry does not count.
	if got := ask(incomplete, "198.51.100.9, 192.0.2.1"); got.status != 429 {
		t.Errorf("a forged hop: %d", got.status)
	}
	if got := ask(incomplete, "192.0.2.2"); got.status != 503 {
		t.Errorf("another address: %d", got.status)
	}
}

// TestPositionsAreWaitedFor: a thousand requests wait for a position over the few
// connections of one pool, and are answered once it is reached.
func TestPositionsAreWaitedFor(t *testing.T) {
	pool := database(t)
	w := export.NewWaiter(pool, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	a := startWith(t, export.NewReader(pool), sharedVerifier(t), func(c *Config) { c.Waiter = w })
	at := func(position int, query string, headers ...string) answer {
		t.Helper()
		if position > 0 {
			if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET position = $1`, position); err != nil {
				t.Fatal(err)
			}
		}
		return a.ask(t, "GET", exportPath+query, append(headers, "Authorization", bearer(t, complete))...)
	}
	for _, bad := range []string{"x", "", "-1", "+1", "1.0", "18446744073709551616", "1&min_position=1"} {
		checkProblem(t, at(0, "?min_position="+bad), 400, "invalid-min-position")
	}
	checkProblem(t, at(0, "?min_position=%zz"), 400, "invalid-query")
	if got := at(100, "?min_position=100"); got.status != 200 {
		t.Errorf("reached: %d %s", got.status, got.body)
	}
	checkProblem(t, at(0, "?min_position=101"), 503, "position-not-reached")
	late := at(0, "?min_position=18446744073709551615", "Prefer", "respond-async, WAIT=\"1\"")
	checkProblem(t, late, 503, "position-not-reached")
	if late.header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("%v", late.header)
	}
	// The position is judged before the account's state, even for an erased account.
	checkProblem(t, a.ask(t, "GET", exportPath+"?min_position=101", "Authorization", bearer(t, erased)), 503, "position-not-reached")

	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			account, want := complete, true
			if i%2 == 0 {
				account = events.UUID{9, byte(i), byte(i >> 8)} // an unknown account
			}
			if _, reached, err := w.WaitFor(t.Context(), account, 500, 15*time.Second); reached != want || err != nil {
				t.Errorf("wait %d: %v, %v", i, reached, err)
			}
		})
	}
	testrun.Eventually(t, "all of them wait", func() bool { return w.Waiting() == 1000 })
	if n := pool.Stat().AcquiredConns(); n > 1 {
		t.Errorf("%d connections are held by who waits", n)
	}
	if _, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN export_checkpoints'`); err != nil {
		t.Fatal(err)
	}
	if got := at(500, "?min_position=500", "Prefer", "wait=5"); got.status != 200 {
		t.Errorf("without the listening connection: %d", got.status)
	}
	all.Wait()

	waiting := make(chan bool, 1)
	go func() {
		_, reached, _ := w.WaitFor(t.Context(), complete, 600, time.Minute)
		waiting <- reached
	}()
	testrun.Eventually(t, "it waits", func() bool { return w.Waiting() == 1 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if <-waiting {
		t.Error("reached, without the position")
	}
}

// TestSlowReadersHoldNothingOfTheDatabase: two dozen clients that stop reading large
// documents hold neither connection nor snapshot. Others are served meanwhile, and in
// the end the slow ones are cut off.
func TestSlowReadersHoldNothingOfTheDatabase(t *testing.T) {
	t.Parallel()
	pool := database(t)
	a := start(t, export.NewReader(pool))
	for range 24 {
		stopReading(t, a, bearer(t, parked))
	}
	testrun.Eventually(t, "the database is done with them", func() bool { return pool.Stat().AcquiredConns() == 0 })
	if n := snapshots(t, pool); n != 0 {
		t.Errorf("%d snapshots are held", n)
	}
	for _, account := range []events.UUID{complete, parked} {
		if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account)); got.status != 200 {
			t.Errorf("%s meanwhile: %d", account, got.status)
		}
	}
	testrun.Eventually(t, "they are cut off", func() bool { return samples(t, a)["export_request_duration_seconds"] == 24+2 })
}

// snapshots counts the snapshots that keep the database from vacuuming, except the
// query's own.
func snapshots(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND (backend_xmin IS NOT NULL OR state LIKE 'idle in transaction%')`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFullPoolIsWaitedFor: while all connections are in use, a request waits for one.
func TestFullPoolIsWaitedFor(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool))
	var held []*pgxpool.Conn
	for range pool.Config().MaxConns {
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	answers := make(chan answer)
	for _, account := range []events.UUID{complete, parked} {
		go func() { answers <- a.ask(t, "GET", exportPath, "Authorization", bearer(t, account)) }()
	}
	select { // any answer within this time is a refusal to wait
	case got := <-answers:
		t.Errorf("%d %s, want that it waits", got.status, got.body)
		return
	case <-time.After(700 * time.Millisecond):
	}
	for _, c := range held {
		c.Release()
	}
	for range 2 {
		if got := <-answers; got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}
