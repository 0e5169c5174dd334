package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// withStreamOf are the settings of one deployment's database and another's
// stream.
func withStreamOf(database, other *system) map[string]string {
	out := maps.Clone(database.settings)
	out["NATS_URL"] = other.settings["NATS_URL"]
	return out
}

// registered publishes that an account was, and a message that is parked.
func (s *system) registered(t *testing.T, account, name string) {
	t.Helper()
	meta := events.Meta{ID: account + name, Source: "/test", Time: events.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	m, err := events.NewUserRegistered(meta, uuid(t, account), events.UserRegistered{Email: name + "@example.org", Tier: "free", QuotaTierID: "free"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []events.Message{m, {Subject: events.AccountSubject(uuid(t, account)), Data: []byte("no event")}} {
		if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// stored is all that the first generation's rows hold.
func (s *system) stored(t *testing.T) (rows string) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `
SELECT string_agg(a::text, ' ' ORDER BY account_id) FROM export_g1.account_export a`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// held is what the stream holds and says of itself.
func (s *system) held(t *testing.T) string {
	t.Helper()
	info, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d messages from %d to %d, id %q", info.Messages, info.First, info.Last, info.ID)
}

// TestAnotherStreamChangesNothing: every command that reads a stream and writes
// by it is given the database of one deployment and the stream of another, a copy
// for tests with other names, say. Each refuses as `run` does, and changes neither;
// `verify` looks, says so, and notes nothing.
func TestAnotherStreamChangesNothing(t *testing.T) {
	t.Parallel()
	production, staging := newSystem(t), newSystem(t)
	production.settings["AUDIT_RATE"] = "0"
	projector := launch(t, "projector", production.settings, "run")
	for _, s := range []*system{production, staging} {
		s.registered(t, another, "same") // at the same positions
	}
	production.registered(t, someone, "real")
	staging.registered(t, someone, "fake")
	staging.registered(t, someone, "more")
	eventually(t, "everything projected", time.Minute, production.caughtUp)
	staging.edit(t, func(c *jetstream.StreamConfig) { c.Metadata = nil })
	projector.signal(syscall.SIGTERM)
	projector.wait()
	// As an older program would have left it.
	if _, err := production.pool.Exec(t.Context(), `UPDATE export_g1.account_export SET counted_at = NULL, version_minor = -1`); err != nil {
		t.Fatal(err)
	}
	if _, err := production.pool.Exec(t.Context(), `UPDATE export.generations SET refolded_minor = -1`); err != nil {
		t.Fatal(err)
	}
	rows, messages := production.stored(t), staging.held(t)
	for _, args := range [][]string{
		{"run"},
		{"refold", "--account", someone},
		{"refold", "--account", someone, "--accept-loss"},
		{"parked", "retry", "--account", someone},
		{"parked", "retry", "--all"},
		{"verify", "--account", another},
		{"verify", "--all"},
		{"verify", "--all", "--json"},
		{"provision"},
		{"erase", "--account", someone, "--dry-run"},
		{"erase", "--account", someone, "--yes"},
		{"erase", "--account", strings.Repeat("0", 8) + another[8:]}, // of which nobody has heard
		{"accept", "--yes"},
	} {
		out, status := command(t, "projector", withStreamOf(production, staging), args...)
		if status != 12 || !strings.Contains(out, "the stream was recreated") || !strings.Contains(out, "still served") {
			t.Errorf("%v: exit %d: %s", args, status, out)
		}
		if now := production.stored(t); now != rows {
			t.Errorf("%v: something else is stored", args)
			rows = now
		}
		if now := staging.held(t); now != messages {
			t.Errorf("%v: the other stream had %s, and has %s", args, messages, now)
			messages = now
		}
	}
	f := &acts.Refolder{Target: acts.Target{Stream: staging.client, Pool: production.pool}, OnChanged: func(string) {}, OnSkipped: func(string, error) {}}
	if done, err := f.RetryDue(t.Context(), func(int64, int, int) {}); done || !errors.Is(err, stream.ErrRecreated) || production.stored(t) != rows {
		t.Errorf("in the background: %v, %v", done, err)
	}
	production.says(t, 0, " 0 differ", "verify", "--all")
	if production.stored(t) == rows {
		t.Error("by its own stream, nothing is noted either: the test shows nothing")
	}
	staging.says(t, 0, "", "provision")
}

// TestReplacedEndRefoldsNothing: the stream lost its end and has grown again while
// no projector ran, which `run` refuses.
func TestReplacedEndRefoldsNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := launch(t, "projector", s.settings, "run")
	s.registered(t, another, "other")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	restore := s.backUp(t)
	s.registered(t, someone, "real")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	restore()
	s.registered(t, someone, "fake")
	rows, messages := s.stored(t), s.held(t)
	for _, args := range [][]string{{"status"}, {"refold", "--account", someone}, {"parked", "retry", "--all"}, {"verify", "--all"},
		{"erase", "--account", someone}, {"provision"}} {
		s.says(t, 16, "another message than the one that was folded", args...)
		if s.stored(t) != rows || s.held(t) != messages {
			t.Errorf("%v has changed something", args)
		}
	}
}

// TestNoErasureByAMirror: STREAM names a mirror. Nothing is published: what it is
// published on would go into the stream itself.
func TestNoErasureByAMirror(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	launch(t, "projector", s.settings, "run")
	s.registered(t, someone, "real")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	js := jetStream(t, s.nats.URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}}); err != nil {
		t.Fatal(err)
	}
	messages := s.held(t)
	settings := maps.Clone(s.settings)
	settings["STREAM"] = "MIRROR"
	if out, status := command(t, "projector", settings, "erase", "--account", someone); status == 0 || s.held(t) != messages {
		t.Errorf("exit %d, and the stream holds %s: %s", status, s.held(t), out)
	}
	if _, err := s.client.WithStream("MIRROR").PublishErased(t.Context(), uuid(t, someone), time.Now()); err == nil || s.held(t) != messages {
		t.Errorf("published: %v, and the stream holds %s", err, s.held(t))
	}
	missing := errors.Join(s.client.WithStream("MIRROR").CanErase(t.Context(), uuid(t, someone))...)
	if missing == nil || !strings.Contains(missing.Error(), "stream CONTROL_PLANE takes it") {
		t.Errorf("what is missing: %v", missing)
	}
	// A copy's header differs by what was for the server alone.
	mark := func(header http.Header) [16]byte {
		return engine.FingerprintOf(&projections.Message{Message: events.Message{Subject: "a", Header: header}}).Digest
	}
	if mark(http.Header{"Nats-Expected-Stream": {"S"}, "A": {"1"}}) != mark(http.Header{"A": {"1"}}) || mark(http.Header{"A": {"1"}}) == mark(nil) {
		t.Error("a message has another mark in a copy")
	}
}

// TestRollBackIsByTheGenerationsStream: a roll-back with another stream would
// carry out there what the ledger knows of this one, and a cut-over give up what
// was built and begin anew from that; both are refused before.
func TestRollBackIsByTheGenerationsStream(t *testing.T) {
	t.Parallel()
	production, staging := newSystem(t), newSystem(t)
	launch(t, "projector", production.settings, "run")
	production.registered(t, someone, "real")
	staging.registered(t, someone, "fake")
	eventually(t, "everything projected", time.Minute, production.caughtUp)
	production.erase(t, someone, 0, nothingLeft)
	production.says(t, 0, "is live", "rebuild")
	messages := staging.held(t)
	out, status := command(t, "projector", withStreamOf(production, staging), "rollback")
	if status != 12 || staging.held(t) != messages {
		t.Errorf("exit %d, and the other stream had %s, and has %s: %s", status, messages, staging.held(t), out)
	}
	production.says(t, 0, "generation 1 is live", "rollback")
	production.says(t, 0, "generation 3 is ready", "rebuild", "--cutover=manual")
	out, status = command(t, "projector", withStreamOf(production, staging), "cutover")
	if status != 12 || staging.held(t) != messages {
		t.Errorf("exit %d, and the other stream had %s, and has %s: %s", status, messages, staging.held(t), out)
	}
	production.says(t, 0, "generation 3 is live", "cutover")
}
