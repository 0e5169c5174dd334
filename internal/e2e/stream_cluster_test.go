package e2e

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// TestReadingInACluster: whichever of three servers a client is connected to, it can read, and finds
// that it can, although another server makes its consumers.
func TestReadingInACluster(t *testing.T) {
	if !testrun.Long() {
		t.Skip("TestConsumerThatIsNotHeardOfYet is the short form")
	}
	t.Parallel()
	cluster := natsserver.ClusterForTest(t, binary(t, "natsd"), 3)
	s := provisionAt(t, &system{nats: cluster.Nodes[0], database: postgres.TestDatabase(t)}, binary(t, "projector"), stream.Config{URL: cluster.URL()})
	replicate(t, cluster)
	s.mustPublish(t, workload.New(96, workload.Config{Accounts: 10}), 100)
	for _, node := range cluster.Nodes {
		client, err := stream.Connect(t.Context(), stream.Config{URL: node.URL(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for i := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			n := 0
			err := client.CanRead(ctx)
			if err == nil {
				err = client.ReadAll(ctx, func(projections.Message) error { n++; return nil })
			}
			cancel()
			if err != nil || n != 100 {
				t.Fatalf("by server %s, time %d: %d of 100 messages, %v", node.Name(), i+1, n, err)
			}
		}
	}
}
