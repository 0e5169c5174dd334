package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestWithinLimits: on a server that lets requests ask for little, with a stream
// whose consumers may be idle for short, provisioning says yes, and everything is
// projected, rebuilt and verified.
func TestWithinLimits(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	deleteStream(t, s.nats.URL()) // which has a longer window
	if err := s.nats.Reconfigure(t.Context(), `jetstream { enabled: true, limits { max_request_batch: 3, max_ack_pending: 1, duplicate_window: "1m" } }`); err != nil {
		t.Fatal(err)
	}
	s.says(t, 0, "created", "provision")
	s.edit(t, func(c *jetstream.StreamConfig) {
		c.ConsumerLimits = jetstream.StreamConsumerLimits{InactiveThreshold: 5 * time.Second, MaxAckPending: 1}
	})
	s.says(t, 0, "checked", "provision")
	s.settings["AUDIT_RATE"] = "0"
	launch(t, "projector", s.settings, "run")
	for i := range 20 {
		s.marked(t, fmt.Sprintf("%02d0c90c3-0000-4000-8000-000000000000", i), 3)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "is live", "rebuild")
	s.verify(t)
	js := jetStream(t, s.nats.URL())
	eventually(t, "a consumer that says whose it is", time.Minute, func(ctx context.Context) error {
		st, err := js.Stream(ctx, "CONTROL_PLANE")
		if err != nil {
			return err
		}
		list := st.ListConsumers(ctx)
		var descriptions []string
		for info := range list.Info() {
			descriptions = append(descriptions, info.Config.Description)
		}
		if list.Err() != nil || len(descriptions) != 1 || !strings.Contains(descriptions[0], "accountexport projector run") {
			return fmt.Errorf("there are %q: %v", descriptions, list.Err())
		}
		return nil
	})
}

// TestLimitThatLeavesNoReader: what keeps `run` from reading is said by it, by
// provision and by status, naming the limit, and nothing is tried for ever.
func TestLimitThatLeavesNoReader(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "0"
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	if status := projector.wait(); status != 0 {
		t.Fatalf("exit %d", status)
	}
	s.edit(t, func(c *jetstream.StreamConfig) { c.ConsumerLimits.InactiveThreshold = 200 * time.Millisecond })
	for _, command := range []string{"provision", "status", "run", "rebuild"} {
		s.says(t, 1, "inactive_threshold 200ms", command)
	}
}

// TestOneConsumer: a stream that may have one consumer has it for the projector,
// which provision and status say, and mind only where somebody else has it.
func TestOneConsumer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	js := jetStream(t, s.nats.URL())
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.MaxConsumers = 1
	deleteStream(t, s.nats.URL())
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s.settings["AUDIT_RATE"] = "0"
	projector := launch(t, "projector", s.settings, "run")
	s.marked(t, someone, 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "max_consumers", "provision")
	s.says(t, 0, "max_consumers", "status")
	projector.signal(syscall.SIGTERM)
	if status := projector.wait(); status != 0 {
		t.Fatalf("exit %d", status)
	}
	eventually(t, "the consumer to be free", time.Minute, func(ctx context.Context) error {
		_, err := js.CreateConsumer(ctx, "CONTROL_PLANE", jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckExplicitPolicy})
		return err
	})
	s.says(t, 1, "max_consumers", "provision")
	s.says(t, 1, "max_consumers", "status")
	projector = launch(t, "projector", s.settings, "run")
	eventually(t, "it to be said", time.Minute, func(context.Context) error {
		if !strings.Contains(projector.out.tail(1<<16), "max_consumers") {
			return errors.New("it is not")
		}
		return nil
	})
	if err := js.DeleteConsumer(t.Context(), "CONTROL_PLANE", "other"); err != nil {
		t.Fatal(err)
	}
	s.marked(t, "4"+someone[1:], 3)
	eventually(t, "everything projected", time.Minute, s.caughtUp)
}
