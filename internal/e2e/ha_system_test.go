package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/patroni"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// haConfig says how a highly available system is set up.
type haConfig struct {
	seed       uint64
	postgres   patroni.Options
	proxied    bool // programs reach PostgreSQL through HAProxy; default: their URL names every server
	syncAlways bool // NATS servers sync before they acknowledge
	projectors int
}

// haSystem is a set-up as in production: PostgreSQL under Patroni, a cluster of three NATS
// servers with a replica of the stream on each, and two of each program.
type haSystem struct {
	*system
	patroni    *patroni.Cluster
	cluster    *natsserver.Cluster
	rng        *rand.Rand
	projectors []*process
	apis       []string // the URLs of exports
	publisher  *eventPublisher
	took       map[string][]recovery
}

// recovery is how long something took from a fault on.
type recovery struct{ read, commit time.Duration }

func newHASystem(t *testing.T, cfg haConfig) *haSystem {
	t.Helper()
	if !testrun.Long() {
		t.Skip("a failover takes Patroni half a minute: `make test-long` has it")
	}
	h := &haSystem{patroni: patroni.ForTest(t, cfg.postgres), rng: rand.New(rand.NewPCG(cfg.seed, 8)), took: map[string][]recovery{},
		cluster: natsserver.ClusterForTestWith(t, natsserver.Options{Program: binary(t, "natsd"), SyncAlways: cfg.syncAlways}, 3)}
	h.system = provisionAt(t, &system{nats: h.cluster.Nodes[0], database: h.patroni.URL("postgres")}, binary(t, "projector"),
		stream.Config{URL: h.cluster.URL()})
	if _, err := h.pool.Exec(t.Context(), `
CREATE ROLE projector LOGIN IN ROLE accountexport_projector;
CREATE ROLE api LOGIN IN ROLE accountexport_reader`); err != nil {
		t.Fatal(err)
	}
	url := h.patroni.URL
	if cfg.proxied {
		url = h.patroni.ProxyURL
	}
	replicate(t, h.cluster)
	h.settings["DATABASE_URL"] = url("projector")
	for range cfg.projectors {
		h.projectors = append(h.projectors, h.startProjector(t))
		api, _ := startAPI(t, map[string]string{"DATABASE_URL": url("api")})
		h.apis = append(h.apis, api)
	}
	eventually(t, "the first generation", time.Minute, h.caughtUp)
	return h
}

// replicate has each of three NATS servers keep the stream.
func replicate(t *testing.T, cluster *natsserver.Cluster) {
	t.Helper()
	js := jetStream(t, cluster.URL())
	eventually(t, "the stream to have three replicas", time.Minute, func(ctx context.Context) error {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		st, err := js.Stream(once, "CONTROL_PLANE")
		if err != nil {
			return err
		}
		cfg := st.CachedInfo().Config
		cfg.Replicas = 3
		_, err = js.UpdateStream(once, cfg)
		return err
	})
	waitReplicated(t, cluster)
}

// waitReplicated waits until all three replicas of the stream are current, and names the server that
// leads.
func waitReplicated(t *testing.T, cluster *natsserver.Cluster) (leader string) {
	t.Helper()
	js := jetStream(t, cluster.URL())
	eventually(t, "all replicas to be current", time.Minute, func(ctx context.Context) error {
		info, err := streamInfo(ctx, js)
		if err != nil {
			return err
		}
		if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
			return fmt.Errorf("the cluster is %+v", info.Cluster)
		}
		for _, r := range info.Cluster.Replicas {
			if !r.Current || r.Offline {
				return fmt.Errorf("%s is behind", r.Name)
			}
		}
		leader = info.Cluster.Leader
		return nil
	})
	return leader
}

// streamInfo asks for the stream for two seconds at most: a request while there is no leader is
// never answered.
func streamInfo(ctx context.Context, js jetstream.JetStream) (*jetstream.StreamInfo, error) {
	once, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	st, err := js.Stream(once, "CONTROL_PLANE")
	if err != nil {
		return nil, err
	}
	return st.Info(once)
}

// load publishes, from now on, events of many accounts at a rate, until the publisher's end.
func (h *haSystem) load(t *testing.T, seed uint64, perSecond int) {
	t.Helper()
	var err error
	if h.publisher, err = startPublisher(t.Context(), h.cluster.URL(), workload.New(seed, workload.Config{Accounts: 200, HostileShare: 0.05}), perSecond); err != nil {
		t.Fatal(err)
	}
}

// fault does something to the system, and measures on the way how long it takes until somebody who
// has published since is served what that was, and until both APIs have answered with a document.
func (h *haSystem) fault(t *testing.T, name string, do func()) {
	t.Helper()
	account := uuid(t, someone)
	token := mintToken(t, account)
	_ = sleep(t.Context(), time.Duration(h.rng.Int64N(int64(3*time.Second))))
	do()
	began := time.Now()
	var r recovery
	read := make(chan time.Duration, 1)
	go func() {
		for _, url := range h.apis {
			for {
				if status, _, _, err := get(t.Context(), url, token); err == nil && status == http.StatusOK || t.Context().Err() != nil {
					break
				}
				_ = sleep(t.Context(), 50*time.Millisecond)
			}
		}
		read <- time.Since(began)
	}()
	var position uint64
	eventually(t, name+": something to be acknowledged", 2*time.Minute, func(ctx context.Context) error {
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		m, err := profileUpdate(account, fmt.Sprintf("after %s %d", name, time.Now().UnixNano()))
		if err == nil {
			position, err = h.client.PublishRaw(once, m)
		}
		return err
	})
	for _, url := range h.apis {
		eventually(t, name+": what was published since to be served", 2*time.Minute, func(ctx context.Context) error {
			status, header, body, err := getAtPosition(ctx, url, token, position, 2)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("status %d: %.200s", status, body)
			}
			if err == nil {
				checkReached(t, header, position)
			}
			return err
		})
	}
	r.commit, r.read = time.Since(began), <-read
	h.took[name] = append(h.took[name], r)
	t.Logf("%s: both APIs answer after %.1f s, and with what was published since after %.1f s", name, r.read.Seconds(), r.commit.Seconds())
}

// killLeader kills the NATS server that leads the stream, and starts it again.
func (h *haSystem) killLeader(t *testing.T) {
	t.Helper()
	node := h.cluster.Node(waitReplicated(t, h.cluster))
	h.fault(t, "the stream's leader killed", node.Kill)
	if err := node.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// failOver does something to the primary, and undoes it once another server has taken its place.
func (h *haSystem) failOver(t *testing.T, name string, do func(*patroni.Node), undo func(*patroni.Node) error) {
	t.Helper()
	was, err := h.patroni.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.fault(t, name, func() { do(was) })
	h.comeBack(t, was, undo)
}

// comeBack undoes what was done to a server, and waits until all servers are as they should be.
func (h *haSystem) comeBack(t *testing.T, was *patroni.Node, undo func(*patroni.Node) error) {
	t.Helper()
	began := time.Now()
	err := undo(was)
	if err == nil {
		ctx, cancel := context.WithTimeout(t.Context(), patience(time.Minute))
		defer cancel()
		err = h.patroni.Whole(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	now, err := h.patroni.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s is the primary; %s is a standby again %.1f s after its return", now.Name, was.Name, time.Since(began).Seconds())
	h.usePrimary(t)
}

// usePrimary has the test's own connections go to the primary.
func (h *haSystem) usePrimary(t *testing.T) {
	t.Helper()
	now, err := h.patroni.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.database = now.URL("postgres")
	h.pool = connectTo(t, h.database)
}

// checkAcknowledged ends the load, and requires that the stream has every message where it was
// acknowledged.
func (h *haSystem) checkAcknowledged(t *testing.T) {
	t.Helper()
	p := h.publisher
	p.end()
	held := map[uint64]bool{}
	if err := h.client.ReadAll(t.Context(), func(m projections.Message) error { held[m.Position] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if p.made == 0 || len(p.acked) != p.made {
		t.Errorf("%d of %d events are acknowledged", len(p.acked), p.made)
	}
	for id, position := range p.acked {
		if !held[position] {
			t.Errorf("%s was acknowledged at %d, and is not there", id, position)
		}
	}
	t.Logf("%d events were acknowledged, after %d attempts that were not", len(p.acked), p.retries)
}
