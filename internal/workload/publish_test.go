package workload

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/testrun"
)

// TestWhatIsPublishedComesBack publishes a hostile stream to a real server with the
// contract's subject transform: the server must accept all of it and return each
// message unchanged.
func TestWhatIsPublishedComesBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true,
		StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "CONTROL_PLANE", Subjects: []string{"controlplane.*.*"},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: "controlplane.*.*",
			Destination: "controlplane.{{partition(16,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"}})
	if err != nil {
		t.Fatal(err)
	}
	messages, seed := 1000, testrun.Seed(t)
	if testrun.Long() {
		messages = 10_000
	}
	generator := New(seed, hostileConfig())
	for i := range messages {
		m := generator.Next()
		ack, err := js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: nats.Header(m.Header), Data: m.Data})
		if err != nil {
			t.Fatalf("message %d, %s %q: %v", i+1, m.Subject, m.Header, err)
		}
		if ack.Sequence != uint64(i+1) {
			t.Fatalf("message %d is at %d", i+1, ack.Sequence)
		}
	}
	generator = New(seed, hostileConfig())
	for i := range messages {
		want := generator.Next()
		got, err := stream.GetMsg(ctx, uint64(i+1))
		if err != nil {
			t.Fatalf("message %d: %v", i+1, err)
		}
		tokens := strings.SplitN(got.Subject, ".", 3)
		if published := tokens[0] + "." + tokens[2]; published != want.Subject {
			t.Errorf("message %d: subject %s, want %s", i+1, published, want.Subject)
		}
		if !bytes.Equal(got.Data, want.Data) {
			t.Errorf("message %d: other data", i+1)
		}
		if d := cmp.Diff(spelled(want.Header), spelled(got.Header)); d != "" {
			t.Errorf("message %d: headers differ (-want +got):\n%s", i+1, d)
		}
	}
}

func spelled(h map[string][]string) map[string]string {
	out := map[string]string{}
	for name, values := range h {
		out[name] = fmt.Sprintf("%q", values)
	}
	return out
}
