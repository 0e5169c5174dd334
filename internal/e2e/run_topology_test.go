package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/port"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// TestUpgradedServer: the NATS server is restarted without JetStream, and then with it. The
// projector logs that meanwhile, and continues by itself; nothing is lost or folded twice.
func TestUpgradedServer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	g := workload.New(testrun.Seed(t), workload.Config{Accounts: 50})
	rounds := 1
	if testrun.Long() {
		rounds = 5
	}
	for range rounds {
		s.mustPublish(t, g, 300)
		s.waitProjected(t)
		logged := len(projector.out.tail(1 << 20))
		if err := s.nats.Reconfigure(t.Context(), "server_name: upgraded"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it to be said that JetStream is off", time.Minute, func(context.Context) error {
			if out := projector.out.tail(1 << 20); !strings.Contains(out[min(logged, len(out)):], "JetStream is off on this server") {
				return errors.New("it is not")
			}
			return nil
		})
		if err := s.nats.Reconfigure(t.Context(), "server_name: upgraded\njetstream: enabled"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the stream to be back", time.Minute, func(ctx context.Context) error {
			_, err := s.client.Info(ctx)
			return err
		})
	}
	s.mustPublish(t, g, 300)
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	for _, never := range []string{"%!", "<nil>", "null"} {
		if out := projector.out.tail(1 << 20); strings.Contains(out, never) {
			t.Errorf("%s in what it says: %s", never, out)
		}
	}
}

// TestLeafNode: a projector at a leaf node projects from the hub's domain, and continues after
// either side was killed.
func TestLeafNode(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	listen, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	start := func(config string) *natsserver.Process {
		p, err := natsserver.StartProcess(ctx, natsserver.Options{Program: binary(t, "natsd"), Dir: t.TempDir(), Config: config})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		return p
	}
	hub := start(fmt.Sprintf("server_name: hub\njetstream { domain: hub }\nleafnodes { listen: \"127.0.0.1:%d\" }", listen))
	leaf := start(fmt.Sprintf("server_name: leaf\njetstream { domain: leaf }\nleafnodes { reconnect: 100ms, remotes: [ { url: \"nats://127.0.0.1:%d\" } ] }", listen))
	s := provisionAt(t, &system{nats: leaf, database: postgres.TestDatabase(t)}, binary(t, "projector"), stream.Config{URL: leaf.URL(), Domain: "hub"})
	s.startProjector(t)
	g := workload.New(testrun.Seed(t), workload.Config{Accounts: 50})
	lost := []*natsserver.Process{hub}
	if testrun.Long() {
		lost = []*natsserver.Process{hub, leaf, hub, leaf}
	}
	for _, server := range lost {
		if err := s.publish(ctx, g, 300, 0); err != nil {
			t.Fatal(err)
		}
		server.Kill()
		if err := server.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the stream to be reached", time.Minute, func(ctx context.Context) error {
			_, err := s.client.Info(ctx)
			return err
		})
	}
	if err := s.publish(ctx, g, 300, 0); err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)
	s.mustRun(t, 0, "0 differ", "verify", "--all")
	s.checkAgainstOracle(t)
	s.mustRun(t, 0, "left", "erase", "--account", s.anAccount(t))
}

// anAccount is an account of which the stream holds a message.
func (s *system) anAccount(t *testing.T) string {
	t.Helper()
	id, found, err := s.client.RandomAccount(t.Context())
	if err != nil || !found {
		t.Fatalf("found %v: %v", found, err)
	}
	return id.String()
}

// TestClusterUnderLoad: in a cluster of three servers with a replicated stream the leader is killed
// while events come, and then every server is restarted in turn as for an upgrade. Nothing that was
// acknowledged is lost, and nothing is folded twice.
func TestClusterUnderLoad(t *testing.T) {
	if !testrun.Long() {
		t.Skip("TestChaosCluster is the short form")
	}
	t.Parallel()
	ctx := t.Context()
	c := natsserver.ClusterForTest(t, binary(t, "natsd"), 3)
	s := provisionAt(t, &system{nats: c.Nodes[0], database: postgres.TestDatabase(t)}, binary(t, "projector"), stream.Config{URL: c.URL()})
	js := jetStream(t, c.URL())
	st, err := js.Stream(ctx, "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.Replicas = 3
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	leader := func() string { return waitReplicated(t, c) }
	leader()
	s.startProjector(t)
	eventually(t, "the first generation", time.Minute, s.caughtUp)
	p, err := startPublisher(ctx, c.URL(), workload.New(testrun.Seed(t), workload.Config{Accounts: 200}), 200)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		node := c.Node(leader())
		node.Kill()
		eventually(t, "another leader", time.Minute, func(ctx context.Context) error {
			once, cancel := context.WithTimeout(ctx, 2*time.Second) // a request while there is no leader is never answered
			defer cancel()
			info, err := st.Info(once)
			if err == nil && (info.Cluster.Leader == "" || info.Cluster.Leader == node.Name()) {
				err = fmt.Errorf("%q leads", info.Cluster.Leader)
			}
			return err
		})
		if err := node.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range c.Nodes {
		leader()
		node.Halt()
		if err := node.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	leader()
	p.end()
	if p.made == 0 || len(p.acked) != p.made {
		t.Errorf("%d of %d events are acknowledged", len(p.acked), p.made)
	}
	s.waitProjected(t)
	held := map[uint64]bool{}
	if err := s.client.ReadAll(ctx, func(m projections.Message) error { held[m.Position] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	for id, position := range p.acked {
		if !held[position] {
			t.Errorf("%s was acknowledged at %d, and is not there", id, position)
		}
	}
	s.checkAgainstOracle(t)
}
