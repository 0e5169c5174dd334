package stream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/natsserver"
)

func TestProvisionCreatesAndThenChecks(t *testing.T) {
	ctx := deadline(t)
	c := connect(t, natsserver.ForTest(t))
	if _, err := c.Info(ctx); err == nil || !strings.Contains(err.Error(), "projector provision") {
		t.Errorf("info of a missing stream: %v; want an error that says what creates it", err)
	}
	id := ""
	for _, want := range []ProvisionResult{{Created: true, Partitions: 16}, {Partitions: 16}} {
		got, err := c.Provision(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want.ID = id; id == "" {
			want.ID = got.ID
		}
		if diff := cmp.Diff(want, got); diff != "" || got.ID == "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		id = got.ID
	}
	info, err := c.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "CONTROL_PLANE" || info.Partitions != 16 || info.Last != 0 || info.Created.IsZero() || info.Time.Before(info.Created) {
		t.Errorf("info %+v", info)
	}
}

func TestAnotherPartitionCountIsNoDifference(t *testing.T) {
	ctx := deadline(t)
	c := connect(t, natsserver.ForTest(t))
	cfg := wanted("CONTROL_PLANE")
	cfg.SubjectTransform.Destination = destination(3)
	cfg.Duplicates = time.Hour
	if _, err := c.js.CreateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	got, err := c.Provision(ctx)
	if diff := cmp.Diff(ProvisionResult{ID: got.ID, Partitions: 3}, got); err != nil || diff != "" {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	publishNotes(ctx, t, c, 1, 100)
	seen := map[int]bool{}
	for _, m := range readUpTo(ctx, t, open(ctx, t, c, 0), 100) {
		seen[m.Partition] = true
	}
	if diff := cmp.Diff(map[int]bool{0: true, 1: true, 2: true}, seen); diff != "" {
		t.Errorf("partitions of the messages: -want +got:\n%s", diff)
	}
}

func TestProvisionRefusesAStreamThatDiffers(t *testing.T) {
	ctx := deadline(t)
	srv := natsserver.ForTest(t)
	for i, tc := range []struct {
		name   string
		change func(*jetstream.StreamConfig)
		says   []string
	}{
		{"in memory", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, []string{"storage"}},
		{"a work queue", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, []string{"retention"}},
		{"ages", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, []string{"max_age", "1h0m0s"}},
		{"bounded in bytes", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }, []string{"max_bytes", "1048576"}},
		{"bounded in messages", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }, []string{"max_msgs"}},
		{"keeps the last of a subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1; c.Discard = jetstream.DiscardOld }, []string{"max_msgs_per_subject"}},
		{"small messages only", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 }, []string{"max_msg_size", "1000"}},
		{"other subjects", func(c *jetstream.StreamConfig) { c.Subjects = []string{"controlplane.*.*", "controlplane.*.*.*"} }, []string{"subjects"}},
		{"no transform", func(c *jetstream.StreamConfig) { c.SubjectTransform = nil }, []string{"transform"}},
		{"other transform", func(c *jetstream.StreamConfig) {
			c.SubjectTransform.Destination = "controlplane.{{wildcard(1)}}.{{wildcard(2)}}.{{partition(16,2)}}"
		}, []string{"transform"}},
		{"cannot be purged", func(c *jetstream.StreamConfig) { c.DenyPurge = true }, []string{"deny_purge"}},
		{"rolls up", func(c *jetstream.StreamConfig) { c.AllowRollup = true }, []string{"allow_rollup"}},
		{"messages expire", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }, []string{"allow_msg_ttl"}},
		{"flushes later", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }, []string{"persist_mode"}},
		{"does not acknowledge", func(c *jetstream.StreamConfig) { c.NoAck = true }, []string{"no_ack"}},
		{"several at once", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage; c.MaxAge = time.Hour }, []string{"storage", "max_age"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := fmt.Sprint("CONTROL_PLANE_", i)
			c := connectTo(t, srv, name)
			cfg := wanted(name)
			tc.change(&cfg)
			if err := c.create(ctx, cfg); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := c.js.DeleteStream(ctx, name); err != nil {
					t.Error(err)
				}
			})
			_, err := c.Provision(ctx)
			if !errors.Is(err, ErrDiffers) {
				t.Fatalf("got %v, want ErrDiffers", err)
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}
