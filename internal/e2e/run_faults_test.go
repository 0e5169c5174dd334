package e2e

import (
	"context"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections/engine"
	"accountexport/readmodel/store"
)

// TestManyLanesAndNoCache folds a hostile stream with four lanes, batches of a few messages and no
// cache, on real servers.
func TestManyLanesAndNoCache(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.mustPublish(t, workload.New(21, workload.Config{Accounts: 30, HostileShare: 0.2, ErasureShare: 0.002}), 3000)
	hot := workload.NewHotAccount(22, workload.HotConfig{Sandboxes: 400, Keys: 100, UsageDays: 200})
	for i := range 1500 {
		m := hot.Next()
		if _, err := s.client.PublishRaw(t.Context(), events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}); err != nil {
			t.Fatal(i, err)
		}
	}
	store := store.NewStore(s.pool, "test", slog.New(slog.DiscardHandler))
	defer store.Close(context.Background())
	p := engine.New(s.client, store, engine.Options{Lanes: 4, CacheBytes: 1, LagInterval: 20 * time.Millisecond,
		Batch: engine.Bound{Events: 9, Bytes: 1 << 20}, Read: engine.Bound{Events: 40, Bytes: 1 << 20},
		Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	eventually(t, "everything projected", 2*time.Minute, s.caughtUp)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.checkAgainstOracle(t)
}

// TestServersComeAndGo restarts NATS, freezes and kills one of two projectors, and deletes the
// stream's last messages, while events are published.
func TestServersComeAndGo(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	first := s.startProjector(t)
	eventually(t, "the first to follow", 20*time.Second, s.caughtUp)
	second := s.startProjector(t)
	g := workload.New(31, workload.Config{Accounts: 40, HostileShare: 0.1})
	publish := func(n int) {
		t.Helper()
		if err := s.publish(t.Context(), g, n, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	publish(1500)
	s.nats.Halt()
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(1500)
	first.signal(syscall.SIGSTOP)
	publish(500)
	first.signal(syscall.SIGCONT)
	publish(500)
	s.waitProjected(t)
	first.kill()
	publish(500)
	eventually(t, "the second to take over", time.Minute, s.caughtUp)
	if out := second.out.tail(4000); !strings.Contains(out, "taking their partitions over") {
		t.Errorf("the second says %s", out)
	}
	s.checkAgainstOracle(t)

	// An erasure removes the last messages before they are read. The checkpoint
	// still reaches the end.
	second.signal(syscall.SIGSTOP)
	info := s.info(t)
	publish(3)
	s.recordAndDelete(t, info.Last+1, info.Last+2, info.Last+3)
	second.signal(syscall.SIGCONT)
	eventually(t, "the checkpoint to pass what was purged", time.Minute, s.caughtUp)
}

// TestRecreatedStreamIsRefused: a recreated stream is refused, while running and at start. The
// program says what happened and what can be done, and the documents stay.
func TestRecreatedStreamIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.mustPublish(t, workload.New(41, workload.Config{Accounts: 5}), 400)
	s.waitProjected(t)
	before := s.documents(t)
	nc, err := nats.Connect(s.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "CONTROL_PLANE"); err != nil {
		t.Fatal(err)
	}
	s.mustRun(t, 0, "", "provision", "--new-stream")
	if status := projector.wait(); status != 12 || !strings.Contains(projector.out.tail(4000), "the stream was recreated") {
		t.Errorf("while running: exit %d: %s", status, projector.out.tail(1000))
	}
	checkContains(t, s.checkRun(t, 12, "the stream was recreated", "run"), "projector rebuild")
	if after := s.documents(t); after != before || after == "" {
		t.Errorf("documents were touched")
	}

	// One of the ways out is to fold the new stream, accepting that accounts will be
	// missing.
	s.mustPublish(t, workload.New(42, workload.Config{Accounts: 5}), 200)
	s.checkRun(t, 1, ": missing", "rebuild")
	s.mustRun(t, 0, "", "rebuild", "--accept-differences")
	s.startProjector(t)
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}
