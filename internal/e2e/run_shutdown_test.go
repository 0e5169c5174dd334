package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// shutdownTimeout is the default of SHUTDOWN_TIMEOUT.
const shutdownTimeout = 10 * time.Second

// stopsWithin asks a program to end and checks how long it takes.
func (p *process) stopsWithin(t *testing.T, sig syscall.Signal, within time.Duration) (status int, took time.Duration) {
	t.Helper()
	began := time.Now()
	p.signal(sig)
	status = p.wait()
	if took = time.Since(began); took > within {
		t.Errorf("%s after it was asked to end, more than %s: %s", took, within, p.out.tail(2000))
	}
	return status, took
}

// settingsThroughProxy are the settings with the database behind a proxy.
func (s *system) settingsThroughProxy(t *testing.T) (*tcpproxy.Proxy, map[string]string) {
	t.Helper()
	network := tcpproxy.ForTest(t, s.databaseAddr())
	settings := maps.Clone(s.settings)
	settings["DATABASE_URL"] = s.databaseThrough(t, network)
	return network, settings
}

// TestShutdownUnderLoad asks two projectors in turns to end while they are behind and thousands of
// events a second are published.
func TestShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	messages, over, rounds := 8000, 4*time.Second, 4
	if testrun.Long() {
		messages, over, rounds = 30_000, 12*time.Second, 10
	}
	s := newSystem(t)
	g := workload.New(61, workload.Config{Accounts: 400, HostileShare: 0.05, ErasureShare: 0.001, LargeShare: 0.002})
	waitPublished := s.publishOver(t, g, messages, over)
	run := func() *process { return s.startProjector(t) }
	both := [2]*process{run(), run()}
	var longest time.Duration
	for i := range rounds {
		<-time.After(over / time.Duration(rounds))
		status, took := both[i%2].stopsWithin(t, syscall.SIGTERM, shutdownTimeout)
		if out := both[i%2].out.tail(1 << 20); status != 0 || !strings.Contains(out, "msg=stopped") || strings.Contains(out, "abandoned") {
			t.Errorf("exit %d: %s", status, out)
		}
		longest = max(longest, took)
		both[i%2] = run()
	}
	waitPublished()
	s.waitProjected(t)
	accounts, n := s.checkAgainstOracle(t)
	t.Logf("%d ends, the longest %.2f s: %d messages, %d accounts compared", rounds, longest.Seconds(), n, accounts)
	if n != messages {
		t.Errorf("the stream holds %d messages, %d were published", n, messages)
	}
}

// TestShutdownWhileDatabaseHangs: a database that does not answer does not keep a projector from
// ending in time. The batch that it abandoned is projected by the next one.
func TestShutdownWhileDatabaseHangs(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	s := newSystem(t)
	network, settings := s.settingsThroughProxy(t)
	settings["SHUTDOWN_TIMEOUT"] = timeout.String()
	projector := launch(t, "projector", settings, "run")
	g := workload.New(62, workload.Config{Accounts: 100})
	s.mustPublish(t, g, 2000)
	s.waitProjected(t)
	network.Stall()
	if err := s.publish(t.Context(), g, 2000, time.Second); err != nil {
		t.Fatal(err)
	}
	status, took := projector.stopsWithin(t, syscall.SIGTERM, timeout+2*time.Second)
	out := projector.out.tail(1 << 20)
	if status != 0 || !strings.Contains(out, "the batch at hand was abandoned") {
		t.Errorf("exit %d: %s", status, out)
	}
	t.Logf("ended after %.2f s", took.Seconds())
	network.Resume()
	s.startProjector(t)
	s.waitProjected(t)
	if _, n := s.checkAgainstOracle(t); n != 4000 {
		t.Errorf("the stream holds %d messages, 4000 were published", n)
	}
}

// TestShutdownBeforeServersAnswer: a program that waits for its servers at start ends when it is
// asked to.
func TestShutdownBeforeServersAnswer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and sends nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for what, addr := range map[string]string{"refuse": freeAddr(t), "are silent": silent.Addr().String()} {
		for server, set := range map[string][2]string{
			"PostgreSQL": {"DATABASE_URL", "postgres://postgres@" + addr + "/postgres?sslmode=disable"},
			"NATS":       {"NATS_URL", "nats://" + addr},
		} {
			t.Run(server+"'s servers "+what, func(t *testing.T) {
				settings := maps.Clone(s.settings)
				settings[set[0]] = set[1]
				p := launch(t, "projector", settings, "run")
				<-time.After(1500 * time.Millisecond) // by then it waits; if not, ending is as good
				if status, _ := p.stopsWithin(t, syscall.SIGINT, shutdownTimeout); status < 0 {
					t.Errorf("ended by the signal: %s", p.out.tail(2000))
				}
			})
		}
	}
}

// TestSecondSignalEndsAtOnce: a second signal is not handled, and ends the program.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	network, settings := s.settingsThroughProxy(t)
	settings["SHUTDOWN_TIMEOUT"] = "5m"
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		projector := launch(t, "projector", settings, "run")
		eventually(t, "it follows", time.Minute, hasPrinted(projector, "following the stream"))
		s.mustPublish(t, workload.New(63, workload.Config{Accounts: 100}), 500)
		s.waitProjected(t)
		network.Stall()
		if err := s.publish(t.Context(), workload.New(64, workload.Config{Accounts: 100}), 500, 500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		projector.signal(sig)
		select {
		case err := <-projector.done:
			projector.done <- err
			t.Fatalf("one %s ended it, with its work unfinished: %v: %s", sig, err, projector.out.tail(2000))
		case <-time.After(2 * time.Second):
		}
		status, _ := projector.stopsWithin(t, sig, 2*time.Second)
		if ended := projector.cmd.ProcessState.Sys().(syscall.WaitStatus); status != -1 || ended.Signal() != sig {
			t.Errorf("the second %s: exit %d", sig, status)
		}
		network.Resume()
	}
}

// TestShutdownOfTheAPI: a document that is being sent when the API is asked to end arrives
// complete, a request that waits for a position is answered at once, and a client that does not
// read does not keep the API beyond SHUTDOWN_TIMEOUT.
func TestShutdownOfTheAPI(t *testing.T) {
	t.Parallel()
	const secret, issuer = "super-secret-jwt-token-with-at-least-32-characters-long", "http://127.0.0.1:54321/auth/v1"
	s := newSystem(t)
	m := newAccountSeries(1)
	s.publishEach(t, 40_000, func(i int) (events.Message, error) {
		switch {
		case i < 2:
			return m.first(i)
		case i == 2:
			return m.tier()
		default:
			return m.next(i)
		}
	})
	projector := s.startProjector(t)
	s.waitProjected(t)
	projector.kill()
	token, err := authtest.Mint(secret, issuer, m.accounts[0], "a@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, reads := range []bool{true, false} {
		t.Run(fmt.Sprintf("reads=%v", reads), func(t *testing.T) {
			addr, admin := freeAddr(t), freeAddr(t)
			api := launch(t, "api", map[string]string{"DATABASE_URL": s.database, "JWT_ISSUER": issuer, "JWT_SECRET": secret, "HTTP_ADDR": addr,
				"ADMIN_ADDR": admin, "SHUTDOWN_TIMEOUT": "3s", "DRAIN_DELAY": "200ms"})
			eventually(t, "the API ready", time.Minute, func(ctx context.Context) error {
				status, _, body, err := get(ctx, "http://"+admin+"/readyz", "")
				if err == nil && status != 200 {
					err = fmt.Errorf("%d %s", status, body)
				}
				return err
			})
			from := "http://" + addr + "/v1/account/export"
			whole, _, document, err := get(t.Context(), from, token)
			if err != nil || whole != 200 || len(document) < 8<<20 {
				t.Fatalf("%d, %d bytes, %v", whole, len(document), err)
			}
			waited := make(chan error, 1)
			go func() {
				status, _, body, err := getAtPosition(t.Context(), from, token, 1_000_000_000, 60)
				if err == nil && status != 503 {
					err = fmt.Errorf("%d %s", status, body)
				}
				waited <- err
			}()
			eventually(t, "a request to wait", time.Minute, hasMetrics(admin, "export_waiting_requests 1\n"))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			small := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true, DialContext: dialSmallBuffer}}
			resp, err := small.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			ended := make(chan int, 1)
			go func() {
				status, _ := api.stopsWithin(t, syscall.SIGTERM, 3*time.Second+2*time.Second)
				ended <- status
			}()
			if err := <-waited; err != nil {
				t.Errorf("who waits for a position: %v", err)
			}
			if reads {
				body, err := io.ReadAll(resp.Body)
				if err != nil || string(body) != string(document) {
					t.Errorf("the document that was under way: %d of %d bytes, %v", len(body), len(document), err)
				}
			}
			if status := <-ended; reads && status != 0 {
				t.Errorf("exit %d", status)
			}
			if !reads {
				if body, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("the document that nobody took: %d of %d bytes without an error", len(body), len(document))
				}
			}
		})
	}
}

// dialSmallBuffer dials with a small receive buffer.
func dialSmallBuffer(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetReadBuffer(64 << 10)
}
