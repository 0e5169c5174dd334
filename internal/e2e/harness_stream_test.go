package e2e

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// streamName is the name of the stream in the settings.
func (s *system) streamName() string {
	if name := s.settings["STREAM"]; name != "" {
		return name
	}
	return "CONTROL_PLANE"
}

// jetStream is NATS's own client for JetStream.
func jetStream(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// stream is the stream of the settings, for NATS's own client.
func (s *system) stream(t testing.TB) jetstream.Stream {
	t.Helper()
	st, err := jetStream(t, s.nats.URL()).Stream(t.Context(), s.streamName())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// updateStream changes the stream's settings, as `nats stream edit` does.
func (s *system) updateStream(t *testing.T, change func(*jetstream.StreamConfig)) {
	t.Helper()
	cfg := s.stream(t).CachedInfo().Config
	change(&cfg)
	if _, err := jetStream(t, s.nats.URL()).UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// repartition gives the stream another number of partitions.
func (s *system) repartition(t *testing.T, partitions int) {
	t.Helper()
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.SubjectTransform = partitioned(partitions) })
}

// partitioned is the subject transform for n partitions.
func partitioned(n int) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{Source: "controlplane.*.*",
		Destination: fmt.Sprintf("controlplane.{{partition(%d,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", n)}
}

// allowOneConsumer replaces the stream by an empty one that allows one consumer.
func (s *system) allowOneConsumer(t *testing.T) {
	t.Helper()
	s.replaceStream(t, func(c *jetstream.StreamConfig) { c.MaxConsumers = 1 })
}

// replaceStream deletes the stream and creates an empty one with the same settings, but for the
// change.
func (s *system) replaceStream(t *testing.T, change func(*jetstream.StreamConfig)) {
	t.Helper()
	js := jetStream(t, s.nats.URL())
	cfg := s.stream(t).CachedInfo().Config
	change(&cfg)
	err := js.DeleteStream(t.Context(), cfg.Name)
	if err == nil {
		_, err = js.CreateStream(t.Context(), cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// purge removes all messages before a position, as `nats stream purge --seq` does.
func (s *system) purge(t *testing.T, before uint64) {
	t.Helper()
	if err := s.stream(t).Purge(t.Context(), jetstream.WithPurgeSequence(before)); err != nil {
		t.Fatal(err)
	}
}

// deleteStream deletes the stream.
func deleteStream(t *testing.T, url string) {
	t.Helper()
	if err := jetStream(t, url).DeleteStream(t.Context(), "CONTROL_PLANE"); err != nil {
		t.Fatal(err)
	}
}

// recreateStream deletes the stream and provisions an empty one.
func recreateStream(t *testing.T, url string) {
	t.Helper()
	deleteStream(t, url)
	client, err := stream.Connect(t.Context(), stream.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// deleteMessage removes one message, as `nats stream rmm` does.
func (s *system) deleteMessage(t *testing.T, position uint64) {
	t.Helper()
	if err := s.stream(t).DeleteMsg(t.Context(), position); err != nil {
		t.Fatal(err)
	}
}

// recordAndDelete deletes messages as an erasure does: it records them first.
func (s *system) recordAndDelete(t *testing.T, positions ...uint64) {
	t.Helper()
	info, err := s.client.Info(t.Context())
	if err == nil {
		err = admin.RecordRemovals(t.Context(), s.pool, info, positions)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, position := range positions {
		if gone, err := s.client.DeleteMessage(t.Context(), position); err != nil || !gone {
			t.Fatalf("remove message %d: %v, %v", position, gone, err)
		}
	}
}

// readMessages returns all messages of the stream.
func (s *system) readMessages(t *testing.T) (all []events.Message) {
	t.Helper()
	if err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
		all = append(all, m.Message)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// recreateWith replaces the stream by one with these messages, as restoring a backup does: its time
// of creation is another, and so are positions after messages that were missing.
func (s *system) recreateWith(t *testing.T, messages []events.Message) {
	t.Helper()
	s.replaceStream(t, func(*jetstream.StreamConfig) {})
	for _, m := range messages {
		s.publishEvent(t, m, nil)
	}
}

// info is the stream's state as the programs read it.
func (s *system) info(t testing.TB) engine.StreamInfo {
	t.Helper()
	info, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// checkStreamUnchanged requires that nothing was published or removed since.
func (s *system) checkStreamUnchanged(t testing.TB, before engine.StreamInfo) {
	t.Helper()
	if now := s.info(t); now.Last != before.Last || now.Messages != before.Messages {
		t.Errorf("the stream had %d messages up to position %d, and has %d up to %d", before.Messages, before.Last, now.Messages, now.Last)
	}
}
