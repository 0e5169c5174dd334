package natsserver

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestStreamsSurviveARestartOnTheSamePort(t *testing.T) {
	s := ForTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	url := s.URL()

	js := connect(t, url)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	s.Halt()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if s.URL() != url {
		t.Errorf("after a restart at %s, before at %s", s.URL(), url)
	}
	stream, err := connect(t, url).Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(msg.Data) != "kept" {
		t.Errorf("message 1 is %q", msg.Data)
	}
}

func TestStopRemovesATemporaryFolderOnly(t *testing.T) {
	temp, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := Start(Options{Dir: t.TempDir(), SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	gone := temp.dir
	temp.Stop()
	kept.Stop()
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("temporary folder %s is still there: %v", gone, err)
	}
	if _, err := os.Stat(kept.dir); err != nil {
		t.Errorf("given folder: %v", err)
	}
}

func connect(t *testing.T, url string) jetstream.JetStream {
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
