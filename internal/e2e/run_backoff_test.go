package e2e

import (
	"context"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// listenAndHangUp accepts connections, closes each at once, and counts them.
func listenAndHangUp(t *testing.T) (addr string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
		}
	}()
	return l.Addr().String(), connections
}

// TestFailuresStayCalm: while a server is away, a program neither retries without pause nor fills
// the log.
func TestFailuresStayCalm(t *testing.T) {
	t.Parallel()
	away := 5 * time.Second
	if testrun.Long() {
		away = 20 * time.Second
	}
	s := newServer(t, postgres.Options{})
	lines := func(p *process) int { return strings.Count(p.out.tail(1<<20), "\n") }
	checkAtMost := func(what string, n, most int) {
		t.Helper()
		t.Logf("%s: %d in %s", what, n, away)
		if n > most {
			t.Errorf("%s: %d in %s, more than %d", what, n, away, most)
		}
	}

	// Servers that close every connection.
	database := maps.Clone(s.settings)
	addr, tries := listenAndHangUp(t)
	database["DATABASE_URL"] = "postgres://postgres@" + addr + "/postgres?sslmode=disable"
	nats := maps.Clone(s.settings)
	natsAddr, natsTries := listenAndHangUp(t)
	nats["NATS_URL"] = "nats://" + natsAddr
	noDatabase, noNATS := launch(t, "projector", database, "run"), launch(t, "projector", nats, "run")
	// A server that goes away while there is work.
	projector := s.startProjector(t)
	s.mustPublish(t, workload.New(71, workload.Config{Accounts: 30}), 500)
	s.waitProjected(t)
	before := lines(projector)
	if err := s.pg.StopImmediate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.publish(t.Context(), workload.New(72, workload.Config{Accounts: 30}), 500, away); err != nil {
		t.Fatal(err)
	}
	checkAtMost("lines while PostgreSQL is away", lines(projector)-before, 30)
	if err := s.pg.Restart(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)
	checkAtMost("connections to a PostgreSQL that hangs up", int(tries.Load()), 120) // including those that look for a pooler
	checkAtMost("lines without PostgreSQL", lines(noDatabase), 30)
	checkAtMost("connections to a NATS that hangs up", int(natsTries.Load()), 60)
	checkAtMost("lines without NATS", lines(noNATS), 30)
	s.checkAgainstOracle(t)
}
