package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestErasureIsTestedFirst: everything that would keep an erasure from completing is named before
// anything is published.
func TestErasureIsTestedFirst(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	before := s.info(t)
	checkRefused := func(settings map[string]string, says ...string) {
		t.Helper()
		out, status := command(t, "projector", settings, "erase", "--account", someone)
		if status != 1 {
			t.Errorf("exit %d, want 1: %s", status, out)
		}
		checkContains(t, out, says...)
		s.checkStreamUnchanged(t, before)
	}
	projector.kill()
	eventually(t, "the projector to count as dead", time.Minute, func(context.Context) error {
		out, status := command(t, "projector", s.settings, "erase", "--account", someone, "--dry-run")
		if status != 1 || !strings.Contains(out, "no projector runs") {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})
	checkRefused(s.settings, "no projector runs", "nothing was changed")
	s.startProjector(t)
	eventually(t, "the projector to run", time.Minute, func(context.Context) error {
		if out, status := command(t, "projector", s.settings, "erase", "--account", someone, "--dry-run"); status != 0 {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})

	if err := s.nats.Restrict(t.Context(), "$JS.API.STREAM.PURGE.>", "$JS.API.STREAM.MSG.DELETE.*", "controlplane.account.*", "$JS.API.STREAM.LIST"); err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)
	restricted := map[string]string{}
	for k, v := range s.settings {
		restricted[k] = v
	}
	restricted["NATS_URL"] = strings.Replace(s.nats.URL(), "nats://", "nats://restricted:restricted@", 1)
	checkRefused(restricted, "no permission to publish on $JS.API.STREAM.PURGE.CONTROL_PLANE", "no permission to publish on $JS.API.STREAM.MSG.DELETE.CONTROL_PLANE",
		"no permission to publish on controlplane.account."+someone, "no permission to publish on $JS.API.STREAM.LIST")

	s.updateStream(t, func(c *jetstream.StreamConfig) { c.DenyPurge = true })
	checkRefused(s.settings, "has deny_purge", "nothing was changed")
}

// TestErasureNeedsAConsumer: on a stream that allows one consumer, which the projector has, an
// erasure is refused before it publishes.
func TestErasureNeedsAConsumer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.allowOneConsumer(t)
	s.settings["AUDIT_RATE"] = "0"
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	s.erase(t, someone, 1, "max_consumers")
	if info := s.info(t); info.Last != 3 {
		t.Errorf("something was published: %+v", info)
	}
}

// TestErasureNeedsAWritableDatabase: an erasure on a database whose transactions are read-only is
// refused before it publishes.
func TestErasureNeedsAWritableDatabase(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	before := s.info(t)
	url := s.settings["DATABASE_URL"]
	s.settings["DATABASE_URL"] = withParameter(url, "default_transaction_read_only=on")
	s.mustRun(t, 1, "the database cannot be written", "erase", "--account", someone)
	s.settings["DATABASE_URL"] = url
	s.checkStreamUnchanged(t, before)
}

// TestErasureDryRun: --dry-run prints what would be removed, and changes nothing.
func TestErasureDryRun(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.publishStray(t, someone)
	s.waitProjected(t)
	documents, before := s.documents(t), s.info(t)
	s.erase(t, someone, 0, "would remove 3 messages of the account and 1 on mistyped subjects from stream CONTROL_PLANE, and 2 rows\nwould take it out of the audit, where 1 lines name it, this look among them\nnothing was changed", "--dry-run")
	s.erase(t, someone, 0, `"erased_at_position":0,"messages":3,"strays":1,"rows":2,"copies_purged":[],"copies_kept":[],"audit_lines":2}`, "--dry-run", "--json")
	s.checkStreamUnchanged(t, before)
	if s.documents(t) != documents {
		t.Error("documents were changed")
	}
	s.erase(t, someone, 0, nothingLeft, "--yes")
	s.erase(t, someone, 0, "is erased already, at position 5", "--dry-run")
	s.checkNoTraces(t)
}
