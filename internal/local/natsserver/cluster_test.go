package natsserver

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/testrun"
)

func TestMain(m *testing.M) {
	ServeIfAsked()
	os.Exit(m.Run())
}

// TestKilledServerKeepsWhatItAcknowledged kills a server with SIGKILL between
// messages.
func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	c := ClusterForTest(t, "", 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	js := connect(t, c.URL())
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		ack, err := js.Publish(ctx, "s", []byte("kept"))
		if err != nil || ack.Sequence != i+1 {
			t.Fatalf("message %d is at %v: %v", i+1, ack, err)
		}
		c.Kill()
		if err := c.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		js = connect(t, c.URL())
	}
}

// TestClusterOutlivesItsLeader kills the leader of a replicated stream, with LONG
// repeatedly. Another server becomes leader and has every message that the first one
// acknowledged; the first one catches up after its restart.
func TestClusterOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	c := ClusterForTest(t, "", 3)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	js := connect(t, c.URL())
	retry(ctx, t, func(ctx context.Context) error {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
		return err
	})
	last := uint64(0)
	publish := func() {
		t.Helper()
		last++
		retry(ctx, t, func(ctx context.Context) error {
			ack, err := js.Publish(ctx, "s", []byte("kept"), jetstream.WithMsgID(fmt.Sprint(last)))
			if err == nil && ack.Sequence != last {
				t.Fatalf("message %d is at %d", last, ack.Sequence)
			}
			return err
		})
	}
	lead := func() (leader string) {
		t.Helper()
		retry(ctx, t, func(ctx context.Context) error {
			s, err := js.Stream(ctx, "S")
			if err != nil {
				return err
			}
			for _, r := range s.CachedInfo().Cluster.Replicas {
				if !r.Current {
					return fmt.Errorf("%s is behind", r.Name)
				}
			}
			leader = s.CachedInfo().Cluster.Leader
			return nil
		})
		return leader
	}
	kills := 1
	if testrun.Long() {
		kills = 5
	}
	publish()
	for range kills {
		c.Node(lead()).Kill()
		publish() // by way of another server
		if err := c.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	lead()
}

// retry calls do until it succeeds, each time for at most a second: a request sent
// while there is no leader is never answered.
func retry(ctx context.Context, t *testing.T, do func(context.Context) error) {
	t.Helper()
	for {
		once, cancel := context.WithTimeout(ctx, time.Second)
		err := do(once)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
