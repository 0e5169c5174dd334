package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/patroni"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
)

// TestWithoutASynchronousStandby: Patroni promotes a standby that has not received the last
// transactions. Documents go back with their checkpoints and are folded again from the stream, so
// that in the end nothing is missing. What the database alone knew is gone: a dismissal, a pause,
// and an erasure, whose messages are then missing for no known reason, so that projectors refuse
// (18) until the export of the ledger is imported and `projector accept` has carried it out anew.
func TestWithoutASynchronousStandby(t *testing.T) {
	t.Parallel()
	seed := testrun.Seed(t)
	h := newHASystem(t, haConfig{seed: seed, projectors: 2, syncAlways: true,
		postgres: patroni.Options{Nodes: 2, MaximumLag: 1 << 30}}) // by default Patroni promotes none that lacks more than 1 MiB
	g := workload.New(seed, workload.Config{Accounts: 50, HostileShare: 0.05})
	h.publishComplete(t, uuid(t, someone))
	h.publishMarked(t, another, 5)
	h.mustPublish(t, g, 1000)
	h.waitProjected(t)
	was, err := h.patroni.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	was.Replication().Stall()
	end := h.readAll(t)
	h.erase(t, another, 0, nothingLeft)
	ledger := h.ledgerExport(t, another)
	h.mustRun(t, 0, "", "parked", "dismiss", "--all", "--note", "known", "--yes")
	h.mustPublish(t, g, 1000)
	h.waitProjected(t)
	h.mustRun(t, 0, "", "pause", "--note", "will be forgotten")
	before := h.counts(t)
	if before.dismissals == 0 || before.pauses == 0 {
		t.Fatalf("before: %+v", before)
	}

	began := time.Now()
	was.Kill()
	now, err := h.patroni.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.usePrimary(t)
	after := h.counts(t)
	t.Logf("%s is the primary after %.1f s: before %+v, after %+v", now.Name, time.Since(began).Seconds(), before, after)
	if after.lowest >= before.lowest || after.dismissals > 0 || after.pauses > 0 || after.erasures > 0 {
		t.Errorf("the standby had it all: before %+v, after %+v", before, after)
	}
	for _, p := range h.projectors {
		p.mustExit(t, 18)
	}
	h.mustRun(t, 0, "1 of them were not", "erasures", "import", ledger)
	h.mustRun(t, 0, "carried out anew", "accept", "--yes")
	h.startProjector(t)
	h.startHealthy(t)
	t.Logf("all is projected again after %.1f s", time.Since(began).Seconds())
	t.Logf("%d documents were seen going back", end())
	h.checkErased(t, another)
	h.checkNoTraces(t)
	h.checkRun(t, 0, " 0 differ", "verify", "--all")
	h.mustRun(t, 0, "is live", "rebuild") // whose counts have no erased messages in them
	h.waitProjected(t)
	h.checkAgainstOracle(t)
	if err := was.Start(); err != nil {
		t.Fatal(err)
	}
}

// dbCounts is what a failover may take back.
type dbCounts struct {
	lowest                       uint64 // position of a checkpoint
	dismissals, pauses, erasures int
}

func (h *haSystem) counts(t *testing.T) (c dbCounts) {
	t.Helper()
	eventually(t, "the database to answer", time.Minute, func(ctx context.Context) error {
		return h.pool.QueryRow(ctx, `SELECT (SELECT min(position) FROM export.checkpoints), (SELECT count(*) FROM export.dismissals),
(SELECT count(*) FROM export.pause), (SELECT count(*) FROM export.erasures)`).Scan(&c.lowest, &c.dismissals, &c.pauses, &c.erasures)
	})
	return c
}

// TestNATSWithoutAMajority: while two of three NATS servers are away nothing is acknowledged, the
// projector waits, and all goes on when they are back. Where two servers come back without what they
// had acknowledged and not synced, which is what `sync_interval: always` prevents, the third one
// is outvoted: the stream ends before the checkpoint, and the projector refuses (13).
func TestNATSWithoutAMajority(t *testing.T) {
	if !testrun.Long() {
		t.Skip("TestChaosCluster is the short form")
	}
	t.Parallel()
	cluster := natsserver.ClusterForTestWith(t, natsserver.Options{Program: binary(t, "natsd")}, 3)
	s := provisionAt(t, &system{nats: cluster.Nodes[0], database: postgres.TestDatabase(t)}, binary(t, "projector"), stream.Config{URL: cluster.URL()})
	replicate(t, cluster)
	projector := s.startProjector(t)
	g := workload.New(94, workload.Config{Accounts: 30})
	s.mustPublish(t, g, 500)
	s.waitProjected(t)

	cluster.Nodes[1].Kill()
	cluster.Nodes[2].Kill()
	m, err := profileUpdate(uuid(t, someone), "unheard of")
	if err != nil {
		t.Fatal(err)
	}
	once, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	if position, err := s.client.PublishRaw(once, m); err == nil {
		t.Errorf("one of three servers acknowledges, at %d", position)
	}
	cancel()
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitReplicated(t, cluster)
	s.mustPublish(t, g, 200)
	s.waitProjected(t)
	select {
	case err := <-projector.done:
		t.Fatalf("the projector has ended: %v: %s", err, projector.out.tail(2000))
	default:
	}

	losing := cluster.Nodes[:2]
	copies := make([]string, len(losing))
	for i, n := range losing {
		n.Halt()
		copies[i] = filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copies[i], os.DirFS(n.Dir())); err != nil {
			t.Fatal(err)
		}
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		waitReplicated(t, cluster)
	}
	s.mustPublish(t, g, 300)
	s.waitProjected(t)
	had := s.info(t).Last
	cluster.Kill()
	for i, n := range losing {
		if err := os.RemoveAll(n.Dir()); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(n.Dir(), os.DirFS(copies[i])); err != nil {
			t.Fatal(err)
		}
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	projector.mustExit(t, 13)
	// The third server has it all, and is not listened to: it joins again once it is emptied.
	if err := os.RemoveAll(cluster.Nodes[2].Dir()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitReplicated(t, cluster)
	if last := s.info(t).Last; last >= had {
		t.Errorf("the stream ends at %d, and had ended at %d", last, had)
	}
	s.mustRun(t, 13, "ends before the checkpoint", "status")
	s.mustRun(t, 13, "cannot be accepted", "accept", "--yes")
	s.mustRun(t, 0, "is live", "rebuild", "--accept-differences")
	s.startHealthy(t)
	s.checkAgainstOracle(t)
}
