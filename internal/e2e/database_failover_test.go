package e2e

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/workload"
)

// failoverPair is a primary with a standby that takes its place. All programs name both servers and
// connect to the one that can be written.
type failoverPair struct {
	*system
	standby *postgres.Server
	between *tcpproxy.Proxy // from the standby to the primary
	url     string
	export  string // the URL of exports
}

func newFailoverPair(t *testing.T) *failoverPair {
	t.Helper()
	p := &failoverPair{system: newServer(t, postgres.Options{Durable: true})}
	p.between = tcpproxy.ForTest(t, p.databaseAddr())
	p.standby = p.system.standby(t, "next", p.between.Addr(), postgres.Options{Durable: true})
	port := func(s *postgres.Server) string {
		c := connectTo(t, s.URL()).Config().ConnConfig
		return fmt.Sprintf("%s:%d", c.Host, c.Port)
	}
	p.url = fmt.Sprintf("postgres://postgres@%s,%s/postgres?sslmode=disable&target_session_attrs=read-write", port(p.pg), port(p.standby))
	p.settings["DATABASE_URL"] = p.url
	p.export, _ = startAPI(t, map[string]string{"DATABASE_URL": p.url})
	return p
}

// makeSynchronous makes commits wait for the standby from now on.
func (p *failoverPair) makeSynchronous(t *testing.T) {
	t.Helper()
	for _, sql := range []string{`ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`} {
		if _, err := p.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the standby to be synchronous", 20*time.Second, func(ctx context.Context) error {
		var n int
		if err := p.pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`).Scan(&n); err != nil || n == 1 {
			return err
		}
		return fmt.Errorf("%d are", n)
	})
}

// failOver kills the primary and promotes the standby.
func (p *failoverPair) failOver(t *testing.T) {
	t.Helper()
	if err := p.pg.StopImmediate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.pool, p.database = connectTo(t, p.standby.URL()), p.standby.URL()
}

// clientView is what a client has seen of accounts, one read after the other.
type clientView struct {
	mu       sync.Mutex
	highest  map[events.UUID]uint64
	back     map[events.UUID]uint64 // how many positions each account went back
	statuses map[int]int
}

// readInTurns reads accounts in turns until the returned function is called.
func (p *failoverPair) readInTurns(t *testing.T, ids []events.UUID) (v *clientView, end func()) {
	t.Helper()
	v = &clientView{highest: map[events.UUID]uint64{}, back: map[events.UUID]uint64{}, statuses: map[int]int{}}
	tokens := map[events.UUID]string{}
	for _, id := range ids {
		tokens[id] = mintToken(t, id)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			id := ids[n%len(ids)]
			status, header, body, err := get(ctx, p.export, tokens[id])
			if ctx.Err() != nil {
				return
			}
			position, _ := strconv.ParseUint(header.Get("Export-Position"), 10, 64)
			v.mu.Lock()
			v.statuses[status]++
			if status == http.StatusOK {
				if high := v.highest[id]; position < high {
					v.back[id] = max(v.back[id], high-position)
				}
				v.highest[id] = max(v.highest[id], position)
			}
			v.mu.Unlock()
			if err != nil || status != http.StatusOK && status != http.StatusServiceUnavailable && status != http.StatusGone {
				t.Errorf("account %s: %d, %v: %.200s", id, status, err, body)
				return
			}
		}
	})
	return v, func() {
		stop()
		all.Wait()
	}
}

// TestFailoverLosesNothing: the primary is killed under load and a synchronous standby takes its
// place. No document goes back to an earlier position, projector and API continue by themselves,
// and everything equals an independent fold.
func TestFailoverLosesNothing(t *testing.T) {
	t.Parallel()
	p := newFailoverPair(t)
	projector := p.startProjector(t)
	g := workload.New(81, workload.Config{Accounts: 40, HostileShare: 0.05})
	p.mustPublish(t, g, 1500)
	p.waitProjected(t)
	p.makeSynchronous(t)
	v, end := p.readInTurns(t, p.completeAccounts(t))
	waitPublished := p.publishOver(t, g, 1500, 3*time.Second)
	eventually(t, "some of it projected", time.Minute, func(ctx context.Context) error { return p.reached(ctx, 2000) })
	began := time.Now()
	p.failOver(t)
	promoted := time.Since(began)
	waitPublished()
	p.waitProjected(t)
	t.Logf("promoted after %.1f s, all projected after %.1f s", promoted.Seconds(), time.Since(began).Seconds())
	end()
	if len(v.back) > 0 {
		t.Errorf("documents went back by so many positions: %v", v.back)
	}
	if v.statuses[http.StatusOK] == 0 {
		t.Error("nobody was served")
	}
	t.Logf("answers %v", v.statuses)
	p.checkAgainstOracle(t)
	if out := projector.out.tail(1 << 20); !strings.Contains(out, "starting again from the checkpoint") {
		t.Errorf("the projector did not notice: %s", out)
	}
}

// TestFailoverThatLosesTransactions: the standby had not received the last transactions. Documents
// go back to what it has, except for clients that ask for a position, and advance again: the
// projector folds the stream once more from the checkpoints of the standby. Nothing is folded
// twice.
func TestFailoverThatLosesTransactions(t *testing.T) {
	t.Parallel()
	p := newFailoverPair(t)
	p.startProjector(t)
	g := workload.New(82, workload.Config{Accounts: 40, HostileShare: 0.05})
	p.mustPublish(t, g, 1500)
	p.waitProjected(t)
	p.waitReceived(t)
	p.between.Stall()
	v, end := p.readInTurns(t, p.completeAccounts(t))
	p.mustPublish(t, g, 800)
	one := p.completeAccounts(t)[0]
	position := p.publishProfile(t, one, "the last that was seen")
	p.waitProjected(t)
	if status, _, body, err := getAtPosition(t.Context(), p.export, mintToken(t, one), position, 10); status != http.StatusOK || err != nil {
		t.Fatal(status, err, string(body))
	}
	began := time.Now()
	p.failOver(t)
	for status := 0; status != http.StatusOK; { // a client that asks for a position gets that one or a later one
		var header http.Header
		var err error
		if status, header, _, err = getAtPosition(t.Context(), p.export, mintToken(t, one), position, 5); err != nil {
			t.Fatal(err)
		}
		if at, _ := strconv.ParseUint(header.Get("Export-Position"), 10, 64); status == http.StatusOK && at < position {
			t.Errorf("who asked for %d was given %d", position, at)
		}
		if time.Since(began) > time.Minute {
			t.Fatal(status)
		}
	}
	p.waitProjected(t)
	t.Logf("all projected again after %.1f s", time.Since(began).Seconds())
	end()
	most := uint64(0)
	for _, by := range v.back {
		most = max(most, by)
	}
	t.Logf("%d of %d documents were seen going back, by %d positions at most; answers %v", len(v.back), len(v.highest), most, v.statuses)
	p.checkAgainstOracle(t)
	p.checkRun(t, 0, "", "status")
	p.checkRun(t, 0, "", "verify", "--all")
}

// waitReceived waits until the standby has everything that the primary has written.
func (p *failoverPair) waitReceived(t *testing.T) {
	t.Helper()
	eventually(t, "the standby to have it all", 20*time.Second, func(ctx context.Context) error {
		var behind float64
		err := p.pool.QueryRow(ctx, `SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), $1) FROM pg_stat_replication`,
			float64(math.MaxInt32)).Scan(&behind)
		if err == nil && behind > 0 {
			err = fmt.Errorf("%.0f bytes are to come", behind)
		}
		return err
	})
}

// TestFailoverThatLosesAnErasure: an erasure was complete, and the standby knows nothing of it. The
// messages that it removed are now missing without an explanation, so the projector refuses with 18
// and names the command to run. After that command the account is erased again, since its erased
// event is in the stream.
func TestFailoverThatLosesAnErasure(t *testing.T) {
	t.Parallel()
	p := newFailoverPair(t)
	p.settings["ADMIN_ADDR"] = freeAddr(t)
	projector := p.startProjector(t)
	p.mustPublish(t, workload.New(83, workload.Config{Accounts: 10}), 600)
	p.waitProjected(t)
	erased := p.completeAccounts(t)[0]
	p.waitReceived(t)
	p.between.Stall()
	p.mustRun(t, 0, "", "erase", "--account", erased.String())
	// The projector has checked that everything missing is explained.
	erasedAt := time.Now()
	eventually(t, "the projector to look again", 30*time.Second, func(ctx context.Context) error {
		_, _, body, err := get(ctx, "http://"+p.settings["ADMIN_ADDR"]+"/metrics", "")
		_, beat, found := strings.Cut(string(body), "\nprojector_last_progress_timestamp_seconds ")
		beat, _, _ = strings.Cut(beat, "\n")
		at, parsed := strconv.ParseFloat(beat, 64)
		if err == nil && (!found || parsed != nil || at < float64(erasedAt.Unix()+3)) {
			err = fmt.Errorf("it has looked at %s", beat)
		}
		return err
	})
	p.failOver(t)
	projector.mustExit(t, 18)
	out := projector.out.tail(1 << 16)
	for range 3 {
		args := advice(out)
		if args == nil {
			t.Fatalf("this names no command that ends it: %s", out)
		}
		var status int
		if out, status = command(t, "projector", p.settings, args...); status == 0 {
			break
		}
	}
	p.startProjector(t)
	p.waitProjected(t)
	eventually(t, "the erased account to be gone", 20*time.Second, func(ctx context.Context) error {
		status, _, body, err := get(ctx, p.export, mintToken(t, erased))
		if err == nil && status != http.StatusGone {
			err = fmt.Errorf("%d: %.100s", status, body)
		}
		return err
	})
	p.checkRun(t, 0, "", "verify", "--all")
}
