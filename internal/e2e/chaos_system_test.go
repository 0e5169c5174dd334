package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
)

// chaosConfig says how many programs a chaosSystem has, and how long faults last.
type chaosConfig struct {
	seed       uint64
	servers    int           // NATS servers; the stream has as many replicas
	projectors int           // replicas of `projector run`
	perSecond  int           // messages a second
	takeover   time.Duration // after which a dead projector's partitions are taken over
	span       time.Duration // how long an ordinary fault lasts at most
}

// chaosSystem is the whole system in processes that can be killed, with a proxy between any two of
// them. The test itself connects to the servers directly.
type chaosSystem struct {
	*system
	chaosConfig
	cluster    *natsserver.Cluster
	replicas   []*replica
	publishing []*tcpproxy.Proxy // publisher–NATS, one for each server
	answering  *tcpproxy.Proxy   // API–PostgreSQL
	publisher  *eventPublisher
	reader     *exportReader
	watch      *checkpointWatcher
	leaders    leaderCounter
	natsBusy   sync.Mutex // held while servers are killed and started

	leaderKills int    // guarded by natsBusy
	shared      bool   // replicas share the partitions, and take over those of a frozen one
	end         func() // ends watcher, reader and publisher, and waits for their end
}

func newChaosSystem(t *testing.T, cfg chaosConfig) *chaosSystem {
	t.Helper()
	a := &chaosSystem{system: &system{}, chaosConfig: cfg, cluster: natsserver.ClusterForTest(t, binary(t, "natsd"), cfg.servers)}
	a.startServers(t)
	for i := range cfg.projectors {
		a.replicas = append(a.replicas, a.newReplica(t, fmt.Sprintf("projector %d", i+1)))
	}
	background, end := context.WithCancel(t.Context())
	var all sync.WaitGroup
	a.end = func() {
		end()
		all.Wait()
	}
	t.Cleanup(a.end)
	for _, r := range a.replicas {
		if err := r.start(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the first generation", time.Minute, a.caughtUp)
	a.installTraps(t)
	if err := a.pool.QueryRow(t.Context(), `SELECT to_regclass('export.members') IS NOT NULL`).Scan(&a.shared); err != nil {
		t.Fatal(err)
	}

	urls := make([]string, cfg.servers)
	for i, n := range a.cluster.Nodes {
		a.publishing = append(a.publishing, tcpproxy.ForTest(t, n.Addr()))
		urls[i] = "nats://" + a.publishing[i].Addr()
	}
	var err error
	g := workload.New(cfg.seed, workload.Config{Accounts: 400, HostileShare: 0.08, ErasureShare: 0.001, LargeShare: 0.002})
	if a.publisher, err = startPublisher(background, strings.Join(urls, ","), g, cfg.perSecond); err != nil {
		t.Fatal(err)
	}
	all.Go(a.publisher.workers.Wait)
	a.watch = newCheckpointWatcher(a.pool.Config().ConnString())
	all.Go(func() { a.watch.run(background) })
	all.Go(func() { a.watch.listen(background) })
	all.Go(func() { a.leaders.run(background, a.cluster.URL()) })
	a.reader = a.startReader(t, background, &all)
	return a
}

// startServers starts PostgreSQL, with a login for each program, and NATS, with a replica of the
// stream on each server.
func (a *chaosSystem) startServers(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	var err error
	a.pg, err = postgres.Start(ctx, postgres.Options{})
	postgres.Check(t, err)
	t.Cleanup(func() { _ = a.pg.Stop(context.Background()) })
	// Faults of the database's sessions do not concern the test's own.
	if a.pool, err = pgxpool.New(ctx, a.pg.URL()+"&default_transaction_read_only=off&application_name=harness"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.closePool)
	if a.client, err = stream.Connect(ctx, stream.Config{URL: a.cluster.URL(), Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.client.Close)
	a.settings = map[string]string{"NATS_URL": a.cluster.URL(), "DATABASE_URL": a.pg.URL(), "LOG_FORMAT": "text"}
	eventually(t, "provisioning", time.Minute, func(context.Context) error {
		if out, status := command(t, "projector", a.settings, "provision"); status != 0 {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})
	if _, err := a.pool.Exec(ctx, `
CREATE ROLE projector LOGIN IN ROLE accountexport_projector;
CREATE ROLE api LOGIN IN ROLE accountexport_reader`); err != nil {
		t.Fatal(err)
	}
	if a.servers == 1 {
		return
	}
	nc, err := nats.Connect(a.cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream to be replicated", time.Minute, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		s, err := js.Stream(ctx, "CONTROL_PLANE")
		if err != nil {
			return err
		}
		cfg := s.CachedInfo().Config
		cfg.Replicas = a.servers
		_, err = js.UpdateStream(ctx, cfg)
		return err
	})
	eventually(t, "every replica to be current", time.Minute, a.replicasCurrent)
}

func (a *chaosSystem) newReplica(t *testing.T, name string) *replica {
	t.Helper()
	r := &replica{name: name, file: binary(t, "projector"), out: &lockedBuffer{}, pg: tcpproxy.ForTest(t, a.databaseAddr())}
	urls := make([]string, a.servers)
	for i, n := range a.cluster.Nodes {
		r.nats = append(r.nats, tcpproxy.ForTest(t, n.Addr()))
		urls[i] = "nats://" + r.nats[i].Addr()
	}
	r.settings = map[string]string{"NATS_URL": strings.Join(urls, ","), "DATABASE_URL": databaseURL("projector", r.pg),
		"ADMIN_ADDR": "127.0.0.1:0", "LOG_FORMAT": "text", "TAKEOVER_AFTER": a.takeover.String()}
	t.Cleanup(func() {
		r.kill()
		r.all.Wait()
		if t.Failed() {
			t.Logf("%s said in the end:\n%s", name, r.out.tail(6000))
		}
	})
	return r
}

func databaseURL(user string, by *tcpproxy.Proxy) string {
	return "postgres://" + user + "@" + by.Addr() + "/postgres?sslmode=disable"
}

// randomReplica picks a replica, mostly one that owns a partition.
func (a *chaosSystem) randomReplica(rng *rand.Rand) *replica {
	r, partition := a.replicas[rng.IntN(len(a.replicas))], rng.IntN(stream.DefaultPartitions)
	if rng.IntN(4) == 0 {
		return r
	}
	owner := a.watch.owner(partition)
	for _, other := range a.replicas {
		if other.is(owner) {
			return other
		}
	}
	return r
}

// sql runs a statement, and repeats it while the database is away.
func (a *chaosSystem) sql(ctx context.Context, statement string, args ...any) error {
	for {
		_, err := a.pool.Exec(ctx, statement, args...)
		if err == nil {
			return nil
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
}
