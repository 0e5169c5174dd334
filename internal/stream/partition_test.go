package stream

import (
	"testing"

	"accountexport/projections/engine"
)

// TestPartitionsAreTheServers: the partition computed from a message's subject is the
// one that the server's subject transform inserted.
func TestPartitionsAreTheServers(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 50)
	publish := func(subject string) {
		t.Helper()
		m := note(1)
		m.Subject = subject
		if _, err := c.PublishRaw(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range []string{"controlplane.quota_tier.free", "controlplane.account.é", "controlplane.x.y", "controlplane.7.7"} {
		publish(subject)
	}
	seen := map[int]bool{}
	stream := engine.StreamIdentity{Partitions: DefaultPartitions}
	for _, m := range readUpTo(ctx, t, open(ctx, t, c, 0), 54) {
		if got := stream.PartitionOf(&m); got != m.Partition {
			t.Errorf("%s: partition %d, the server has %d", m.Subject, got, m.Partition)
		}
		seen[m.Partition] = true
	}
	if len(seen) < 8 {
		t.Errorf("only %d partitions were seen", len(seen))
	}
}
