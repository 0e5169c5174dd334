package stream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/natsserver"
	"accountexport/projections/engine"
)

// TestProvisionIdentifiesAStream: a stream without an id deviates from the contract
// until Provision gives it one, and nothing else of it changes. A stream that the
// database knows gets the id that it had.
func TestProvisionIdentifiesAStream(t *testing.T) {
	ctx := deadline(t)
	c := connect(t, natsserver.ForTest(t))
	cfg := wanted("CONTROL_PLANE")
	cfg.Metadata = map[string]string{"owner": "somebody"}
	cfg.Duplicates = 7 * time.Minute
	if _, err := c.js.CreateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	before, err := c.Info(ctx)
	if err != nil || len(before.Deviations) != 1 || before.Deviations[0].What != "id" || before.ID != "" {
		t.Fatalf("info %+v, %v; want it to have no id", before, err)
	}
	first, err := c.Provision(ctx)
	if err != nil || first.ID == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := c.Provision(ctx, engine.StreamIdentity{Name: "CONTROL_PLANE", Created: before.Created, ID: "another"})
	if diff := cmp.Diff(first, again); err != nil || diff != "" {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	info, err := c.Info(ctx)
	if err != nil || info.ID != first.ID || len(info.Deviations) > 0 || !info.Created.Equal(before.Created) {
		t.Errorf("info %+v, %v", info, err)
	}
	s, err := c.js.Stream(ctx, "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	now := s.CachedInfo().Config
	if now.Metadata["owner"] != "somebody" || now.Duplicates != cfg.Duplicates || now.SubjectTransform.Destination != cfg.SubjectTransform.Destination {
		t.Errorf("the stream has become %+v", now)
	}

	now.Metadata = nil
	if _, err := c.js.UpdateStream(ctx, now); err != nil {
		t.Fatal(err)
	}
	known := []engine.StreamIdentity{
		{Name: "CONTROL_PLANE", Created: before.Created.Add(time.Second), ID: "of one before"},
		{Name: "OTHER", Created: before.Created, ID: "of another"},
		{Name: "CONTROL_PLANE", Created: before.Created.Truncate(time.Microsecond), ID: "its own"},
	}
	if got, err := c.Provision(ctx, known...); err != nil || got.ID != "its own" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestMetadataOutlivesAnEdit: editing a stream with the `nats` program keeps its id.
func TestMetadataOutlivesAnEdit(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	before, err := c.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.js.Stream(ctx, "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.MaxAge, cfg.Discard = time.Hour, jetstream.DiscardOld
	if _, err := c.js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if after, err := c.Info(ctx); err != nil || after.ID != before.ID || before.ID == "" {
		t.Errorf("id %q, and was %q: %v", after.ID, before.ID, err)
	}
}
