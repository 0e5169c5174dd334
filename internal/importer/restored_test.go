package importer

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
)

// TestAStreamRestoredFromBeforeIsRefused: it lacks lines that are noted as published,
// also once it has grown past the position of the last of them.
func TestAStreamRestoredFromBeforeIsRefused(t *testing.T) {
	dir := t.TempDir()
	srv, err := natsserver.Start(natsserver.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop()
	connect := func() *stream.Client {
		c, err := stream.Connect(deadline(t), stream.Config{URL: srv.URL(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	c := connect()
	if _, err := c.Provision(deadline(t)); err != nil {
		t.Fatal(err)
	}
	opt := Options{Progress: progressPath(t)}
	if _, err := Run(deadline(t), c, inline(increments(0, 100, 3)), true, opt); err != nil {
		t.Fatal(err)
	}
	srv.Halt()
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(deadline(t), connect(), inline(increments(0, 200, 3)), true, opt); err != nil {
		t.Fatal(err)
	}
	srv.Halt()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	c = connect()
	in := increments(0, 300, 3)
	if _, err = Run(deadline(t), c, inline(in), true, opt); !errors.Is(err, ErrOtherProgress) || !strings.Contains(err.Error(), "had reached position 200, and ends at 100") {
		t.Errorf("at once: %v", err)
	}
	for i := range 120 {
		m := events.Message{Subject: "controlplane.account." + account(9), Data: []byte(fmt.Sprint(i))}
		if _, err := c.PublishRaw(deadline(t), m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = Run(deadline(t), c, inline(in), true, opt); !errors.Is(err, ErrOtherProgress) || !strings.Contains(err.Error(), "is another message") {
		t.Errorf("once it has grown: %v", err)
	}
}

// TestTheLastMessageMayBeErased: then it is absent, and the import goes on. Where no
// erasure tells why, it is refused.
func TestTheLastMessageMayBeErased(t *testing.T) {
	c, srv := provisioned(t)
	opt := Options{Progress: progressPath(t)}
	if _, err := Run(deadline(t), c, inline(increments(0, 100, 3)), true, opt); err != nil {
		t.Fatal(err)
	}
	of, err := c.Get(deadline(t), 100)
	if err != nil {
		t.Fatal(err)
	}
	s, err := reconfigure(t, srv.URL(), func(*jetstream.StreamConfig) {}).Stream(deadline(t), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(deadline(t), 100); err != nil {
		t.Fatal(err)
	}
	in := increments(0, 110, 3)
	if _, err := Run(deadline(t), c, inline(in), true, opt); !errors.Is(err, ErrOtherProgress) || !strings.Contains(err.Error(), "is no message any more, and no erasure") {
		t.Errorf("removed by somebody: %v", err)
	}
	erase(t, c, events.ParseSubject(of.Subject).Account)
	if _, err := Run(deadline(t), c, inline(in), true, opt); err != nil {
		t.Errorf("erased: %v", err)
	}
}

// erase removes an account's messages from the stream, as `projector erase` does.
func erase(t testing.TB, c *stream.Client, account events.UUID) {
	t.Helper()
	erased, err := c.PublishErased(deadline(t), account, someTime)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PurgeAccount(deadline(t), account, erased.Position, nil); err != nil {
		t.Fatal(err)
	}
}
