package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
	"accountexport/internal/workload"
)

// TestProgramsShareTheConnectionsThereAre: on a server that allows users 30 connections, four
// replicas and two APIs that would open 62 start at once. They take what there is and log it, and
// under load no connection is refused to any of them. A program that finds no room exits and names
// how many connections it needs, and starts once there is room.
func TestProgramsShareTheConnectionsThereAre(t *testing.T) {
	t.Parallel()
	const allowed = 30
	s := newServer(t, postgres.Options{Settings: map[string]string{"max_connections": fmt.Sprint(allowed + 3), // three are reserved for superusers
		"log_min_messages": "warning"}})
	execute(t, s.database, `CREATE ROLE projector LOGIN IN ROLE accountexport_projector; CREATE ROLE api LOGIN IN ROLE accountexport_reader`)
	settings := maps.Clone(s.settings)
	settings["DATABASE_URL"], settings["LANES"] = databaseOf(t, s.pg, "postgres", "projector"), "3"
	var programs []*process
	for range 4 {
		programs = append(programs, launch(t, "projector", settings, "run"))
	}
	var clients []apiClient
	for range 2 {
		serve := freeAddr(t)
		ofAPI := s.apiSettings(serve)
		ofAPI["DATABASE_URL"] = databaseOf(t, s.pg, "postgres", "api")
		programs, clients = append(programs, launch(t, "api", ofAPI)), append(clients, apiClient{serve})
	}
	s.publishLarge(t, 300)
	waitPublished := s.publishOver(t, workload.New(21, workload.Config{Accounts: 300, LargeShare: 0.01}), 8000, 3*time.Second)
	eventually(t, "four to share", time.Minute, s.sharedEvenly(4, 4, 4, 4))
	for i := range 200 {
		clients[i%2].waitStatus(t, someone, "", http.StatusOK)
	}
	waitPublished()
	s.waitProjected(t)
	limited := 0
	for _, p := range programs {
		out := p.out.tail(1 << 20)
		if strings.Contains(out, "SQLSTATE 53300") {
			t.Errorf("it was refused a connection: %s", out)
		}
		limited += strings.Count(out, "room for fewer connections")
	}
	if limited == 0 {
		t.Error("nobody says that it has fewer connections than it would have")
	}
	taken := func(ctx context.Context) (n int) {
		err := s.pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE usename IN ('projector', 'api')`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Logf("%d of %d connections are taken, %d of 6 programs have fewer than they would", taken(t.Context()), allowed, limited)
	if out, status := command(t, "projector", settings, "status"); status != 0 {
		t.Errorf("status: exit %d: %s", status, out)
	}

	// As many further replicas as there is room for, and one more.
	var refused *process
	for range 10 {
		p := launch(t, "projector", settings, "run")
		eventually(t, "another to begin or to be refused", 30*time.Second, func(ctx context.Context) error {
			select {
			case err := <-p.done:
				p.done <- err
				refused = p
				return nil
			default:
				return hasPrinted(p, "following the stream")(ctx)
			}
		})
		if refused != nil {
			break
		}
		programs = append(programs, p)
	}
	if refused == nil {
		t.Fatal("nobody is refused")
	}
	if out := refused.out.tail(4000); refused.wait() != 2 || !strings.Contains(out, "there is no room for this program's connections") {
		t.Errorf("without room: exit %d: %s", refused.wait(), out)
	}
	t.Logf("%d replicas have begun; the next said: %s", len(programs)-2, refused.out.tail(500))
	for _, p := range programs {
		p.stop(t)
	}
	again := launch(t, "projector", settings, "run")
	eventually(t, "it to begin once there is room", 30*time.Second, hasPrinted(again, "following the stream"))
	s.checkAgainstOracle(t)
}
