package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"accountexport/internal/local/patroni"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// TestHighlyAvailable: under load, at random moments, the primary of a PostgreSQL under Patroni is
// killed, suspended, and parted from its Patroni, and so is the leader of a stream with three
// replicas. With a synchronous standby nothing that was acknowledged is lost, no document goes
// back at any API, who asks for a position is given it, projectors and APIs go on by themselves,
// and in the end everything equals an independent fold. How long each takes is logged.
func TestHighlyAvailable(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]haConfig{
		"every server in the URL": {syncAlways: true},
		"through HAProxy":         {proxied: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.seed, cfg.projectors = testrun.Seed(t), 2
			cfg.postgres = patroni.Options{Nodes: 3, Synchronous: true}
			h := newHASystem(t, cfg)
			h.publishComplete(t, uuid(t, someone))
			h.mustPublish(t, workload.New(cfg.seed, workload.Config{Accounts: 200}), 2000)
			h.waitProjected(t)
			end := h.readAll(t)
			h.load(t, cfg.seed+1, 100)
			for range 2 {
				h.failOver(t, "the primary killed", (*patroni.Node).Kill, (*patroni.Node).Start)
				h.killLeader(t)
				h.failOver(t, "the primary suspended", (*patroni.Node).Freeze, thaw)
				h.killLeader(t)
				h.failOver(t, "the primary's PostgreSQL killed, and its Patroni not", (*patroni.Node).Crash, func(*patroni.Node) error { return nil })
				if cfg.proxied { // without it, nothing but a watchdog fences such a primary
					h.failOver(t, "the primary's Patroni suspended, from the promotion of another one on", h.hang(t), thaw)
				}
			}
			h.checkAcknowledged(t)
			h.waitProjected(t)
			if back := end(); back > 0 {
				t.Errorf("%d documents went back", back)
			}
			h.checkAgainstOracle(t)
			h.checkRun(t, 0, " 0 differ", "verify", "--all")
			h.checkRun(t, 0, "", "status")
			if !cfg.proxied {
				h.parted(t)
			}
			h.stillRun(t)
			for name, all := range h.took {
				t.Logf("%s: %s", name, ranges(all))
			}
		})
	}
}

// parted parts the primary from its Patroni where nothing fences it: for as long as that lasts programs
// may use either primary, which is logged, and once it is over nothing is missing.
func (h *haSystem) parted(t *testing.T) {
	t.Helper()
	was, err := h.patroni.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.hang(t)(was)
	end := h.readAll(t)
	g := workload.New(95, workload.Config{Accounts: 50})
	h.mustPublish(t, g, 200)
	position := h.publishProfile(t, uuid(t, someone), "while there were two")
	reached := 0
	for range 20 {
		status, header, _, err := getAtPosition(t.Context(), h.apis[0], mintToken(t, uuid(t, someone)), position, 1)
		if err == nil && status == http.StatusOK {
			checkReached(t, header, position)
			reached++
		}
	}
	h.comeBack(t, was, thaw)
	h.waitProjected(t)
	t.Logf("with two primaries: %d of 20 times what was published since was served, %d documents were seen going back", reached, end())
	h.checkAgainstOracle(t)
	h.checkRun(t, 0, " 0 differ", "verify", "--all")
}

// hang parts a primary from its Patroni, and waits until another server is the primary beside it.
func (h *haSystem) hang(t *testing.T) func(*patroni.Node) {
	return func(n *patroni.Node) {
		t.Helper()
		began := time.Now()
		n.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), patience(time.Minute))
		defer cancel()
		now, err := h.patroni.Primary(ctx)
		if err != nil || now == n {
			t.Fatalf("no other server was promoted: %v", err)
		}
		t.Logf("%s was promoted after %.1f s, and %s does not know it", now.Name, time.Since(began).Seconds(), n.Name)
	}
}

func thaw(n *patroni.Node) error {
	n.Thaw()
	return nil
}

// stillRun requires that no projector has ended.
func (h *haSystem) stillRun(t *testing.T) {
	t.Helper()
	for _, p := range h.projectors {
		select {
		case err := <-p.done:
			t.Errorf("a projector has ended: %v", err)
		default:
		}
	}
}

// ranges is a text of the shortest and longest of recoveries.
func ranges(all []recovery) string {
	least, most := all[0], all[0]
	for _, r := range all {
		least = recovery{min(least.read, r.read), min(least.commit, r.commit)}
		most = recovery{max(most.read, r.read), max(most.commit, r.commit)}
	}
	s := func(d time.Duration) float64 { return d.Seconds() }
	return fmt.Sprintf("%d times, documents after %.1f to %.1f s, what was published since after %.1f to %.1f s", len(all),
		s(least.read), s(most.read), s(least.commit), s(most.commit))
}
