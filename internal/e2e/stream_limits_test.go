package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestWithinLimits: with the server's smallest limits on requests, and a stream whose consumers may
// be idle only briefly, everything can be provisioned, projected, rebuilt and verified.
func TestWithinLimits(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	deleteStream(t, s.nats.URL()) // its duplicate window is longer
	if err := s.nats.Reconfigure(t.Context(), `jetstream { enabled: true, limits { max_request_batch: 3, max_ack_pending: 1, duplicate_window: "1m" } }`); err != nil {
		t.Fatal(err)
	}
	s.mustRun(t, 0, "created", "provision")
	s.updateStream(t, func(c *jetstream.StreamConfig) {
		c.ConsumerLimits = jetstream.StreamConsumerLimits{InactiveThreshold: 5 * time.Second, MaxAckPending: 1}
	})
	s.mustRun(t, 0, "checked", "provision")
	s.settings["AUDIT_RATE"] = "0"
	s.startProjector(t)
	for i := range 20 {
		s.publishMarked(t, fmt.Sprintf("%02d0c90c3-0000-4000-8000-000000000000", i), 3)
	}
	s.waitProjected(t)
	s.mustRun(t, 0, "is live", "rebuild")
	s.checkAgainstOracle(t)
	st := s.stream(t)
	eventually(t, "a consumer that says whose it is", time.Minute, func(ctx context.Context) error {
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

// TestLimitThatLeavesNoReader: a limit that keeps `run` from reading is named by `run`,
// `provision`, `status` and `rebuild`, which all exit.
func TestLimitThatLeavesNoReader(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "0"
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	projector.stop(t)
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.ConsumerLimits.InactiveThreshold = 200 * time.Millisecond })
	for _, command := range []string{"provision", "status", "run", "rebuild"} {
		s.mustRun(t, 1, "inactive_threshold 200ms", command)
	}
}

// TestOneConsumer: on a stream that allows one consumer the projector has it, and `provision` and
// `status` mention that. They fail only when another client has it.
func TestOneConsumer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.allowOneConsumer(t)
	s.settings["AUDIT_RATE"] = "0"
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	s.mustRun(t, 0, "max_consumers", "provision")
	s.mustRun(t, 0, "max_consumers", "status")
	projector.stop(t)
	js := jetStream(t, s.nats.URL())
	eventually(t, "the consumer to be free", time.Minute, func(ctx context.Context) error {
		_, err := js.CreateConsumer(ctx, "CONTROL_PLANE", jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckExplicitPolicy})
		return err
	})
	s.mustRun(t, 1, "max_consumers", "provision")
	s.mustRun(t, 1, "max_consumers", "status")
	projector = s.startProjector(t)
	eventually(t, "it to be said", time.Minute, hasPrinted(projector, "max_consumers"))
	if err := js.DeleteConsumer(t.Context(), "CONTROL_PLANE", "other"); err != nil {
		t.Fatal(err)
	}
	s.publishMarked(t, "4"+someone[1:], 3)
	s.waitProjected(t)
}
