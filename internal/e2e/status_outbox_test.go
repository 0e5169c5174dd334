package e2e

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/outbox"
)

// TestStatusFailsWhileJetStreamRefusesTheOutbox: a message of the outbox that JetStream refuses
// makes status end with 1, and the line that it prints mends it, either way that it names.
func TestStatusFailsWhileJetStreamRefusesTheOutbox(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings = maps.Clone(s.settings)
	s.settings["OUTBOX_DATABASE_URL"] = s.database
	conn := s.migrateOutbox(t)
	defer conn.Close(context.Background())
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 })
	s.startProjector(t)
	launch(t, "projector", s.settings, "relay")
	for n, account := range []string{someone, another} {
		large, err := events.NewSandboxCreated(events.Meta{ID: fmt.Sprint("it's-", n), Source: "/test", Time: events.TimeOf(time.Now())}, uuid(t, account),
			events.SandboxCreated{ID: "s", Template: strings.Repeat("x", 1000)})
		if err != nil {
			t.Fatal(err)
		}
		tx, err := conn.Begin(t.Context())
		if err == nil {
			err = outbox.Write(t.Context(), tx, large)
		}
		if err == nil {
			err = tx.Commit(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(n int) (out string) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " to be refused"), time.Minute, func(context.Context) error {
			text, status := command(t, "projector", s.settings, "status")
			want := 1
			if n == 0 {
				want = 0
			}
			if out = text; strings.Count(text, "outbox: JetStream refuses message") != n || status != want {
				return fmt.Errorf("exit %d: %s", status, text)
			}
			return nil
		})
		return out
	}
	advice := regexp.MustCompile(`give the event up, in that database: (DELETE FROM .*)`).FindStringSubmatch(refused(2))
	s.mustRun(t, 1, `"subject": "controlplane.account.`, "status", "--json")
	if advice == nil {
		t.Fatal("no way out is named")
	}
	if tag, err := conn.Exec(t.Context(), advice[1]); err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%s: %v, %v", advice[1], tag, err)
	}
	refused(1)
	if !testrun.Long() { // the relay tries again after half a minute
		return
	}
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.MaxMsgSize = -1 })
	eventually(t, "the other one to go", 2*time.Minute, func(ctx context.Context) error {
		if n := s.info(t).Last; n != 1 {
			return fmt.Errorf("%d messages are in the stream", n)
		}
		return nil
	})
	refused(0)
}
